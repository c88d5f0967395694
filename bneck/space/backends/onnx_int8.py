"""An ONNX graph in 8 bits, by ONNX Runtime's own static quantisation."""

import contextlib
import io
import logging
import re
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

_QUANTISED = re.compile("[Qq]uantize|^Q[A-Z]|Integer|NBits|Bnb4")
"""In the names of all operators on integers that stand for floats, and of no others."""


def quantised(
    model: onnx.ModelProto,
    images: Iterable[NDArray[np.float32]],
    *,
    per_channel: bool = True,
    in_float: Collection[str] = (),
    averaged: bool = False,
) -> bytes:
    """Return the model with its convolutions and matrix products in 8 bits.

    Signed 8-bit weights, unsigned 8-bit activations, QDQ nodes.

    Args:
        model: a float graph of one input.
        images: inputs, (1, channels, px, px) each, on which the ranges of activations are found.
        per_channel: whether each filter has a scale of its own.
        in_float: paths of layers that stay as they are.
        averaged: whether an activation's range is the mean of the images' own ranges.

    Raises:
        Exception: whatever the quantiser raises for a graph that it cannot quantise.
    """
    # It reports on stdout and through the root logger, and writes only to files.
    quiet = contextlib.redirect_stdout(io.StringIO())
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    copied = onnx.ModelProto()
    copied.CopyFrom(model)  # the quantiser moves the weights of what it is given into a file
    try:
        with tempfile.TemporaryDirectory() as folder, quiet:
            target = Path(folder, "int8.onnx")
            quantize_static(
                copied,
                str(target),
                _Feeds(model.graph.input[0].name, images),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=per_channel,
                extra_options={"CalibMovingAverage": averaged},
                nodes_to_exclude=[
                    node.name for node in model.graph.node if is_of(node.name, in_float)
                ],
            )
            return target.read_bytes()
    finally:
        logging.disable(before)


def is_quantised(model: onnx.ModelProto) -> bool:
    """Return whether a graph of any origin has nodes in 8 bits or fewer, of ONNX or ONNX Runtime.

    They may be in its weights alone.
    """
    return any(_QUANTISED.search(node.op_type) for node in model.graph.node)


def is_of(name: str, paths: Collection[str]) -> bool:
    """Return whether a node or tensor belongs to one of the layers of these paths."""
    return any(name == path or name.startswith(f"{path}.") for path in paths)


class _Feeds(CalibrationDataReader):  # type: ignore[misc]
    """The images one by one, as the quantiser asks for them."""

    def __init__(self, name: str, images: Iterable[NDArray[np.float32]]) -> None:
        self._feeds = iter({name: image} for image in images)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)
