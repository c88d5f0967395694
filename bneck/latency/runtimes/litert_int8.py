"""LiteRT with 8-bit weights and activations."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from bneck.errors import UsageError
from bneck.latency.runtimes.litert import LiteRt
from bneck.latency.runtimes.weights import Array
from bneck.space.backends.tflite_int8 import quantised, ranges_of
from bneck.space.layers import Layer, input_shape

IMAGES = 2


class LiteRtInt8(LiteRt):
    """8-bit weights and activations.

    Ranges come from random images: they do not change how long the network takes.
    """

    word = "litert-int8"

    def model(self, layers: tuple[Layer, ...], weights: Mapping[str, Array]) -> bytes:
        channels, px, _ = input_shape(layers[0])
        return _quantised(super().model(layers, weights), (self.batch_size, px, px, channels))


@lru_cache(maxsize=2)
def _quantised(model: bytes, shape: tuple[int, ...]) -> bytes:
    """The last two are kept: network and reference are prepared again for every repetition."""
    draw = np.random.default_rng(0)
    try:
        images = (draw.standard_normal(shape, np.float32) for _ in range(IMAGES))
        return quantised(model, ranges_of(model, images))
    except Exception as error:  # the quantizer raises whatever it meets
        raise UsageError(f"LiteRT cannot quantise the network: {error}") from None
