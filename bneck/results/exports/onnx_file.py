"""ONNX, batch norms folded, batch size free: what ONNX Runtime and most others deploy."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor

from bneck import __version__
from bneck.errors import UsageError
from bneck.files import write_whole
from bneck.results import metadata
from bneck.results.exports import Exported, Trained
from bneck.results.exports.checking import difference
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.space.backends import onnx_model
from bneck.space.backends.onnx_session import open_session

PRODUCER = "bneck"


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


def notes(model: onnx.ModelProto) -> dict[str, str]:
    """Return the metadata of a graph by name: all of it where bneck did not make it.

    Raises:
        UsageError: bneck made it, and a note makes no sense; names the note.
    """
    found = {item.key: item.value for item in model.metadata_props}
    if _is_ours(model):
        metadata.check_notes(found)
    return found


def architecture(model: onnx.ModelProto) -> Architecture | None:
    """Return what the graph was made of, or None where bneck did not make it.

    Raises:
        UsageError: the note that tells it makes no sense.
    """
    text = next((item.value for item in model.metadata_props if item.key == "architecture"), None)
    if not _is_ours(model) or text is None:
        return None
    arch = codec.from_json(metadata.parsed("architecture", text))
    names = notes(model).get("classes")
    if names is not None and len(json.loads(names)) != arch.classes:
        raise UsageError(
            f"its metadata names {len(json.loads(names))} classes, and the network has "
            f"{arch.classes}"
        )
    return arch


def _is_ours(model: onnx.ModelProto) -> bool:
    return model.producer_name in (PRODUCER, "onnx.quantize")


def outline(model: onnx.ModelProto) -> tuple[int, int | None]:
    """Return how many numbers a graph's weights hold, and its input's side if that is fixed."""
    sides = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    weights = sum(math.prod(item.dims) for item in model.graph.initializer)
    return weights, (sides[-1] or None) if len(sides) == 4 else None
