"""ONNX Runtime on the CPU: what people deploy."""

from collections.abc import Callable, Mapping

import numpy as np
import onnxruntime as ort

from bneck.errors import UsageError
from bneck.latency.runtimes import Runtime
from bneck.latency.runtimes.weights import Array, norm_free
from bneck.space.backends import onnx_model
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
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        # Two sessions take turns: threads of the waiting one must not spin on the other's cores.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base class but Exception
            raise UsageError(f"ONNX Runtime cannot load the model: {error}") from None
        feed = {item.name: _values(item) for item in session.get_inputs()}
        return lambda: session.run(None, feed)[0]


def _values(item: ort.NodeArg) -> np.ndarray:
    shape = [side if isinstance(side, int) else 1 for side in item.shape]
    if item.type != "tensor(float)":
        raise UsageError(f"input {item.name!r} is {item.type}; only tensor(float) can be timed")
    return np.random.default_rng(0).standard_normal(shape, np.float32)
