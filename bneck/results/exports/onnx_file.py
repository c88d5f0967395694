"""ONNX, batch norms folded, batch size free: what ONNX Runtime and most others deploy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor

from bneck import __version__
from bneck.files import write_whole
from bneck.results.exports import Exported, Trained
from bneck.results.exports.checking import difference
from bneck.results.exports.onnx_notes import PRODUCER
from bneck.space.backends import onnx_model
from bneck.space.backends.onnx_session import open_session


def write(trained: Trained, path: Path) -> Exported:
    """Write the graph, check it, and compare ONNX Runtime's outputs."""
    model = graph(trained)
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    worst = difference(trained, runner(data))
    write_whole(path, data)
    return Exported(worst)


def graph(trained: Trained) -> onnx.ModelProto:
    """The graph with its weights and, as metadata, the notes and the architecture."""
    state = {name: np.asarray(tensor) for name, tensor in trained.state.items()}
    model = onnx_model.build(trained.arch.layers(), state, batch="batch")
    model.producer_name, model.producer_version = PRODUCER, __version__
    for name, text in trained.metadata().items():
        model.metadata_props.add(key=name, value=text)
    return model


def runner(data: bytes, *, threads: int | None = None) -> Callable[[Tensor], Tensor]:
    """ONNX Runtime on the graph: (N, 3, px, px) images -> (N, classes) logits."""
    session = open_session(data, threads=threads)

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {onnx_model.INPUT: images.numpy()})[0])

    return run
