"""The command ``train``: one network alone."""

from typing import Any

from bneck.commands.common.deriving import session_of
from bneck.commands.common.options import JsonOption, NetArgument, OutOption, planned
from bneck.commands.common.output import print_result
from bneck.derivation.execution import Execution
from bneck.derivation.plan import OPTIONS
from bneck.results.units import percent


@planned(OPTIONS["train"])
@planned(("gpus", "ray"), Execution)
def train(net: NetArgument, out: OutOption, json: JsonOption = False, **asked: Any) -> None:
    """Train a network, from scratch or from weights, and export it."""
    with session_of("train", out, asked, net=net) as session:
        from bneck.derivation import pipeline  # torch and all: after the mistakes

        trained = pipeline.train(session)
    run = session.run
    result = {
        "accuracy": trained.accuracy.value,
        "accuracy_stderr": trained.accuracy.stderr,
        "test_accuracy": trained.test_accuracy and trained.test_accuracy.value,
        "seconds": trained.seconds,
        "arch": str(run.network),
        "weights": str(run.weights),
        "onnx": str(run.onnx),
    }
    tested = trained.test_accuracy
    on_test = f", {percent(tested)} on the test images" if tested else ""
    text = (
        f"accuracy {percent(trained.accuracy)}{on_test} after {trained.seconds:.0f} s\n"
        f"network {run.network}, weights {run.weights}, ONNX {run.onnx}"
    )
    print_result(json, result, text)
