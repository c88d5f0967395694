"""OpenVINO on the CPU (``pip install bneck[openvino]``), fed with the same ONNX graphs."""

import time
from collections.abc import Callable, Mapping

import numpy as np
import openvino

from bneck.errors import UsageError
from bneck.latency.runtimes import Runtime
from bneck.latency.runtimes.weights import Array, norm_free
from bneck.space.backends import onnx_model
from bneck.space.layers import Layer


class OpenVino(Runtime):
    """Float32, tuned for latency."""

    word = "openvino"
    version = str(openvino.__version__).partition("-")[0]

    def __init__(self, *, threads: int = 1, batch_size: int = 1) -> None:
        super().__init__(threads=threads, batch_size=batch_size)
        # It runs in threads of its own, so the calling thread's CPU time says nothing.
        self.clock = time.perf_counter_ns
        self._core = openvino.Core()

    def prepare(
        self, layers: tuple[Layer, ...], weights: Mapping[str, Array] | None = None
    ) -> Callable[[], object]:
        model = onnx_model.build(*norm_free(layers, weights), batch=self.batch_size)
        return self.prepare_onnx(model.SerializeToString())

    def prepare_onnx(self, model: bytes) -> Callable[[], object]:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.threads,
            "NUM_STREAMS": 1,
            # Elsewhere than on x86 with AMX its default may be a shorter float.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            compiled = self._core.compile_model(self._core.read_model(model), "CPU", settings)
        except RuntimeError as error:
            raise UsageError(f"OpenVINO cannot load the model: {error}") from None
        request = compiled.create_infer_request()
        draw = np.random.default_rng(0)
        for port in compiled.inputs:
            shape = [side.get_length() if side.is_static else 1 for side in port.partial_shape]
            image = draw.standard_normal(shape, np.float32)
            request.set_tensor(port, openvino.Tensor(image))
        return lambda: request.infer()[0]
