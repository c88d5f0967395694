"""OpenVINO on the CPU (``pip install bneck[openvino]``), fed with the same ONNX graphs."""

import time
from collections.abc import Callable, Mapping

import openvino

from bneck.errors import UsageError
from bneck.latency.runtimes import Runtime
from bneck.latency.runtimes.weights import Array, norm_free, random_input
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
            request = compiled.create_infer_request()
            for port in compiled.inputs:
                shape = [side.get_length() if side.is_static else 1 for side in port.partial_shape]
                values = random_input(shape, port.element_type.to_dtype())
                request.set_tensor(port, openvino.Tensor(values))
            request.infer()
        except Exception as error:  # also what numpy raises for a shape that cannot be
            raise UsageError(f"OpenVINO cannot run the model: {_explained(str(error))}") from None
        return lambda: request.infer()[0]


def _explained(problem: str) -> str:
    """Return what an error of OpenVINO's says is wrong, without the lines on where in its code."""
    lines = (line.strip() for line in problem.splitlines())
    return " ".join(one for one in lines if not one.startswith(("Exception from", "Check '")))
