"""ONNX Runtime with 8-bit weights and activations, by its own static quantisation."""

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from bneck.errors import UsageError
from bneck.latency.runtimes.onnxruntime import OnnxRuntime

IMAGES = 2


class OnnxRuntimeInt8(OnnxRuntime):
    """Signed 8-bit weights by channel, unsigned 8-bit activations, QDQ nodes.

    Ranges come from random images: they do not change how long the network takes.
    """

    word = "onnxruntime-int8"

    def prepare_onnx(self, model: bytes) -> Callable[[], object]:
        return super().prepare_onnx(quantised(model))


@lru_cache(maxsize=2)
def quantised(model: bytes) -> bytes:
    """The model with its convolutions and matrix products in 8 bits.

    The last two are kept: a network and its reference are prepared anew for every repetition.

    Raises:
        UsageError: it is not an ONNX model, or it cannot be quantised.
    """
    # It reports on stdout and through the root logger, and writes only to files.
    quiet = contextlib.redirect_stdout(io.StringIO())
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as folder, quiet:
            parsed = onnx.load_from_string(model)
            target = Path(folder, "int8.onnx")
            quantize_static(
                parsed,
                str(target),
                _Images(parsed.graph.input[0]),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
            )
            return target.read_bytes()
    except Exception as error:  # the quantiser raises whatever it meets
        raise UsageError(f"ONNX Runtime cannot quantise the model: {error}") from None
    finally:
        logging.disable(before)


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """A few random images for the model's input."""

    def __init__(self, item: onnx.ValueInfoProto) -> None:
        sides = [dim.dim_value or 1 for dim in item.type.tensor_type.shape.dim]
        draw = np.random.default_rng(0)
        images = [draw.standard_normal(sides, np.float32) for _ in range(IMAGES)]
        self._feeds = iter([{item.name: image} for image in images])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)
