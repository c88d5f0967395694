"""ONNX Runtime on the CPU: what people deploy."""

import time
from collections.abc import Callable

import numpy as np
import onnxruntime as ort

from bneck.errors import UsageError
from bneck.latency.runtimes import run_clock
from bneck.latency.runtimes.weights import pooled, without_norms
from bneck.space.backends import onnx_model
from bneck.space.layers import Layer


class OnnxRuntime:
    """Float32, one image, sequential, all graph optimisations."""

    def __init__(self, *, threads: int = 1) -> None:
        self.word = "onnxruntime"
        self.version = str(ort.__version__)
        self.threads = threads
        self.clock = run_clock(threads)
        self.wall = time.perf_counter_ns

    def prepare(self, layers: tuple[Layer, ...]) -> Callable[[], object]:
        plain = without_norms(layers)
        return self.prepare_onnx(onnx_model.serialised(plain, pooled(plain)))

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
        return lambda: session.run(None, feed)


def _values(item: ort.NodeArg) -> np.ndarray:
    shape = [side if isinstance(side, int) else 1 for side in item.shape]
    if item.type != "tensor(float)":
        raise UsageError(f"input {item.name!r} is {item.type}; only tensor(float) can be timed")
    return np.random.default_rng(0).standard_normal(shape, np.float32)
