"""ONNX Runtime with 8-bit weights and activations, by its own static quantisation."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import onnx

from bneck.errors import UsageError
from bneck.latency.runtimes.onnxruntime import OnnxRuntime
from bneck.latency.runtimes.weights import Array
from bneck.space.backends.onnx_int8 import is_quantised, quantised
from bneck.space.layers import Layer

IMAGES = 2


class OnnxRuntimeInt8(OnnxRuntime):
    """8-bit weights and activations. A file that is in 8 bits is timed as it is.

    Ranges come from random images: they do not change how long the network takes.
    """

    word = "onnxruntime-int8"

    def model(self, layers: tuple[Layer, ...], weights: Mapping[str, Array]) -> bytes:
        return _quantised(super().model(layers, weights))

    def onnx_file(self, model: bytes) -> bytes:
        return _quantised(model)


@lru_cache(maxsize=2)
def _quantised(model: bytes) -> bytes:
    """The last two are kept: network and reference are prepared again for every repetition."""
    try:
        parsed = onnx.load_from_string(model)
        if is_quantised(parsed):
            return model
        dims = parsed.graph.input[0].type.tensor_type.shape.dim
        shape = [dim.dim_value or 1 for dim in dims]
        draw = np.random.default_rng(0)
        return quantised(parsed, (draw.standard_normal(shape, np.float32) for _ in range(IMAGES)))
    except Exception as error:  # the quantiser raises whatever it meets
        raise UsageError(f"ONNX Runtime cannot quantise the model: {error}") from None
