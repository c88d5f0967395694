"""What an ONNX file says about itself: read without torch, by whoever uses the file alone."""

import json
import math

import onnx

from bneck.errors import UsageError
from bneck.results import metadata
from bneck.space import codec
from bneck.space.architecture import Architecture

PRODUCER, QUANTISER = "bneck", "onnx.quantize"


def notes(model: onnx.ModelProto) -> dict[str, str]:
    """Return the metadata of a graph by name; none where bneck did not make it.

    Raises:
        UsageError: a note makes no sense; names it.
    """
    if not _is_ours(model):
        return {}
    found = {item.key: item.value for item in model.metadata_props}
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
    return model.producer_name in (PRODUCER, QUANTISER)


def is_in_float32(model: onnx.ModelProto) -> bool:
    """Return whether all weights are in float32, as bneck writes them before any conversion."""
    return all(item.data_type == onnx.TensorProto.FLOAT for item in model.graph.initializer)


def weight_count(model: onnx.ModelProto) -> int:
    """Return how many numbers a graph's weights hold."""
    return sum(math.prod(item.dims) for item in model.graph.initializer)
