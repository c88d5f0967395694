"""LiteRT (TensorFlow Lite) on the CPU with XNNPACK: what Android phones run."""

from collections.abc import Callable, Mapping
from importlib import metadata

import numpy as np

from bneck.latency.runtimes import Runtime
from bneck.latency.runtimes.weights import Array, norm_free, random_images
from bneck.space.backends import tflite_model
from bneck.space.backends.tflite_session import open_interpreter
from bneck.space.layers import Layer


class LiteRt(Runtime):
    """Float32; ``pip install bneck[litert]``."""

    word = "litert"
    version = metadata.version("ai-edge-litert")

    def prepare(
        self, layers: tuple[Layer, ...], weights: Mapping[str, Array] | None = None
    ) -> Callable[[], object]:
        interpreter = open_interpreter(
            self.model(*norm_free(layers, weights)), threads=self.threads
        )
        (given,) = interpreter.get_input_details()
        (output,) = interpreter.get_output_details()
        pixels = random_images(layers, self.batch_size).transpose(0, 2, 3, 1)
        interpreter.set_tensor(given["index"], np.ascontiguousarray(pixels))

        def run() -> object:
            interpreter.invoke()
            found = interpreter.get_tensor(output["index"])
            return found.transpose(0, 3, 1, 2) if found.ndim == 4 else found

        return run

    def model(self, layers: tuple[Layer, ...], weights: Mapping[str, Array]) -> bytes:
        return tflite_model.build(layers, weights, batch=self.batch_size)
