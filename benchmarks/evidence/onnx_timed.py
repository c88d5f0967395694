"""Whether a run's runtime times networks of other libraries, which come as ONNX files."""

from bneck.derivation.plan import Plan
from bneck.latency.runtimes import open_runtime
from bneck.space import presets
from bneck.space.backends import onnx_model, torch_model, weights
from bneck.space.presets import MOBILENET_V3_SMALL


def check_takes_onnx(plan: Plan) -> None:
    """See that the plan's runtime runs ONNX files, by a small one.

    Raises:
        UsageError: it does not, as ``macs`` does not.
    """
    arch = presets.build(MOBILENET_V3_SMALL, width=0.35, resolution_px=32, classes=2)
    state = weights.arrays(torch_model.build(arch).state_dict())
    graph = onnx_model.build(arch.layers(), state)
    open_runtime(plan.runtime).prepare_onnx(graph.SerializeToString())
