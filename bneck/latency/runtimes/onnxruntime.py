"""ONNX Runtime on the CPU: what people deploy."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bneck.errors import UsageError
from bneck.latency.runtimes import Runtime
from bneck.latency.runtimes.weights import Array, norm_free, random_input
from bneck.space.backends import onnx_model
from bneck.space.backends.onnx_session import open_session
from bneck.space.layers import Layer


class OnnxRuntime(Runtime):
    """Float32, sequential, all graph optimisations."""

    word = "onnxruntime"
    version = str(ort.__version__)

    def prepare(
        self, layers: tuple[Layer, ...], weights: Mapping[str, Array] | None = None
    ) -> Callable[[], object]:
        # In floats, whatever a subclass makes of it: that is for prepare_onnx to do.
        return self.prepare_onnx(OnnxRuntime.model(self, *norm_free(layers, weights)))

    def model(self, layers: tuple[Layer, ...], weights: Mapping[str, Array]) -> bytes:
        model = onnx_model.build(layers, weights, batch=self.batch_size)
        return bytes(model.SerializeToString())

    def onnx_file(self, model: bytes) -> bytes:
        return model

    def prepare_onnx(self, model: bytes) -> Callable[[], object]:
        model = self.onnx_file(model)
        try:
            # Two sessions take turns: threads of the waiting one must not spin on the cores.
            session = open_session(model, threads=self.threads, waits_passively=True)
            feed = {item.name: _values(item) for item in session.get_inputs()}
            session.run(None, feed)
        except UsageError:
            raise
        except Exception as error:  # its exceptions share no base class but Exception
            raise UsageError(_explained(str(error))) from None
        return lambda: session.run(None, feed)[0]


_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
}


def _values(item: ort.NodeArg) -> NDArray[Any]:
    shape = [side if isinstance(side, int) else 1 for side in item.shape]
    if item.type not in _TYPES:
        known = ", ".join(_TYPES)
        raise UsageError(f"input {item.name!r} is {item.type}; what can be timed: {known}")
    return random_input(shape, _TYPES[item.type])


def _explained(problem: str) -> str:
    """Return in a sentence what an error of ONNX Runtime means."""
    first = next((line for line in problem.splitlines() if line.strip()), "unknown error")
    newer = ("IR version", "opset", "is not a registered function/op", "Could not find an impl")
    if any(word in problem for word in newer):
        return (
            f"the model needs another version of ONNX Runtime than {ort.__version__}, "
            f"which says: {first}"
        )
    return f"ONNX Runtime cannot run the model: {first}"
