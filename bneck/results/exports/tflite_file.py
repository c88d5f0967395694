"""LiteRT (TensorFlow Lite), batch norms folded, one image, NHWC: what Android phones run."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bneck.files import write_whole
from bneck.results.exports import Exported, Trained
from bneck.results.exports.checking import difference
from bneck.space.backends import tflite_model
from bneck.space.backends.tflite_session import open_interpreter


def write(trained: Trained, path: Path) -> Exported:
    """Write the file and compare LiteRT's outputs with ours."""
    data = model(trained, trained.metadata())
    worst = difference(trained, runner(data))
    write_whole(path, data)
    return Exported(worst)


def model(trained: Trained, notes: Mapping[str, str]) -> bytes:
    """Return the file's content with the network's weights, and ``notes`` as metadata."""
    state = {name: np.asarray(tensor) for name, tensor in trained.state.items()}
    return tflite_model.build(trained.arch.layers(), state, metadata=notes)


def runner(data: bytes, *, threads: int = 1) -> Callable[[Tensor], Tensor]:
    """LiteRT on a file: (N, 3, px, px) images -> (N, classes) logits, one by one."""
    interpreter = open_interpreter(data, threads=threads)
    (image,), (logits,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(images: Tensor) -> Tensor:
        found = []
        for one in images.permute(0, 2, 3, 1).split(1):
            interpreter.set_tensor(image["index"], np.ascontiguousarray(one.numpy()))
            interpreter.invoke()
            found.append(torch.from_numpy(interpreter.get_tensor(logits["index"]).copy()))
        return torch.cat(found)

    return run
