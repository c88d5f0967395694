"""ONNX files of any origin, made ready to be timed: weights beside the file, free dimensions."""

from dataclasses import dataclass
from pathlib import Path

import onnx

from bneck.errors import UsageError, first_line
from bneck.space.backends import onnx_parsing

COLOURS = (1, 3, 4)
"""Sizes by which an input's channel dimension is told from its sides."""


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """A model that holds its weights, all dimensions of its inputs fixed.

    Attributes:
        model: the serialised model.
        batch: images that one run takes.
        resolution_px: side of its first input, or None where that is not an image.
    """

    model: bytes
    batch: int
    resolution_px: int | None


def read_onnx(path: Path, resolution_px: int | None = None, batch_size: int = 1) -> OnnxGraph:
    """Read an ONNX file, with the weights that may lie beside it, and fix its free dimensions.

    Args:
        path: the file.
        resolution_px: what free sides become.
        batch_size: what a free batch becomes.

    Raises:
        UsageError: an unreadable file, free sides without a resolution, or fixed ones of another.
    """
    model = onnx_parsing.read(path)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # a missing file, a wrong length, a path that leads elsewhere
        said = first_line(error)
        raise UsageError(f"{path}: its weights beside it cannot be read: {said}") from None
    inputs = _inputs(model)
    sides = [_fix(item, path, resolution_px, batch_size) for item in inputs]
    first = [dim.dim_value for item in inputs[:1] for dim in item.type.tensor_type.shape.dim]
    batch = first[0] if len(first) > 1 else 1
    return OnnxGraph(model.SerializeToString(), batch, sides[0] if sides else None)


def own_side(model: onnx.ModelProto) -> int | None:
    """Return the side of a model's first input: 0 where it is free, None if it is no image."""
    sizes = [size for item in _inputs(model)[:1] for size in _sizes(item)]
    if len(sizes) != 4:
        return None
    height, width = (sizes[place] for place in _side_places(sizes))
    return height or width


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs without the weights, which old files list among them."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [item for item in model.graph.input if item.name not in weights]


def _sizes(item: onnx.ValueInfoProto) -> list[int]:
    """The dimensions of an input; 0 for a free one, which some exporters write as -1."""
    return [max(0, dim.dim_value) for dim in item.type.tensor_type.shape.dim]


def _side_places(sizes: list[int]) -> tuple[int, int]:
    """Where height and width are among the four dimensions of images, channels first or last."""
    last = sizes[3] in COLOURS and sizes[1] not in COLOURS
    return (1, 2) if last else (2, 3)


def _fix(
    item: onnx.ValueInfoProto, path: Path, resolution_px: int | None, batch_size: int
) -> int | None:
    """Fix the free dimensions of an input; returns its side where it is an image.

    Args:
        item: the input.
        path: of the file, for errors.
        resolution_px: what free sides become.
        batch_size: what a free batch becomes.
    """
    dims = item.type.tensor_type.shape.dim
    sizes = _sizes(item)
    free = [place for place, size in enumerate(sizes) if not size]
    if len(dims) != 4:
        if any(place > 0 for place in free):
            raise UsageError(
                f"{path}: input {item.name!r} has free dimensions and is not a batch of images"
            )
        for place in free:
            dims[place].dim_value = batch_size
        return None
    places = _side_places(sizes)
    fixed = {sizes[place] for place in places} - {0}
    if resolution_px is None and len(fixed) == 0:
        raise UsageError(
            f"{path}: height and width of input {item.name!r} are free: "
            "give the resolution (--resolution PIXELS)"
        )
    if resolution_px is not None and fixed - {resolution_px}:
        sides = " x ".join(str(side) for side in sorted(fixed))
        raise UsageError(f"{path}: input {item.name!r} takes {sides} px, not {resolution_px} px")
    for place in free:
        if place == 0:
            value = batch_size
        elif place in places:
            value = resolution_px or max(fixed)
        else:
            value = 3
        dims[place].dim_value = value
    return int(dims[places[0]].dim_value)
