"""ONNX Runtime on the CPU: what people deploy."""

from collections.abc import Callable, Mapping

import numpy as np
import onnxruntime as ort

from bneck.errors import UsageError
from bneck.latency.runtimes import Runtime
from bneck.latency.runtimes.weights import Array, norm_free
from bneck.space.backends import onnx_model
from bneck.space.backends.onnx_session import open_session
from bneck.space.layers import Layer


class OnnxRuntime(Runtime):
    """Float32, one image, sequential, all graph optimisations."""

    word = "onnxruntime"
    version = str(ort.__version__)

    def prepare(
        self, layers: tuple[Layer, ...], weights: Mapping[str, Array] | None = None
    ) -> Callable[[], object]:
        return self.prepare_onnx(onnx_model.serialised(*norm_free(layers, weights)))

    def prepare_onnx(self, model: bytes) -> Callable[[], object]:
        try:
            # Two sessions take turns: threads of the waiting one must not spin on the cores.
            session = open_session(model, threads=self.threads, waits_passively=True)
        except Exception as error:  # its exceptions share no base class but Exception
            raise UsageError(f"ONNX Runtime cannot load the model: {error}") from None
        feed = {item.name: _values(item) for item in session.get_inputs()}
        return lambda: session.run(None, feed)[0]


def _values(item: ort.NodeArg) -> np.ndarray:
    shape = [side if isinstance(side, int) else 1 for side in item.shape]
    if item.type != "tensor(float)":
        raise UsageError(f"input {item.name!r} is {item.type}; only tensor(float) can be timed")
    return np.random.default_rng(0).standard_normal(shape, np.float32)
