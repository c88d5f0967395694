"""The commands ``train`` and ``pretrain``: one network alone."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bneck.commands.common.options import JsonOption, NetArgument, OutOption, check_left_out
from bneck.commands.common.output import print_result
from bneck.commands.common.session import run_options, session_of
from bneck.errors import UsageError
from bneck.units import percent

ToPretrain = Annotated[
    str | None,
    typer.Argument(
        metavar="NET",
        help="A preset's name, a JSON file, or a run's folder; by default the space's largest.",
        show_default=False,
    ),
]


@run_options("train")
def train(net: NetArgument, out: OutOption, json: JsonOption = False, **asked: Any) -> None:
    """Train a network, from scratch or from weights, and export it."""
    _train("train", net, out, json, asked)


@run_options("pretrain")
def pretrain(
    out: OutOption, net: ToPretrain = None, json: JsonOption = False, **asked: Any
) -> None:
    """Train a network for later derivations to begin with.

    They take it as --pretrained OUT; by default it is the largest of the space.

    With --elastic, the weights of all of its networks.
    """
    if asked["elastic"] and asked["gpus"]:
        raise UsageError("--elastic trains on one device: leave out --gpus")
    _train("pretrain", net, out, json, asked)


def _train(command: str, net: str | None, out: Path, json: bool, asked: dict[str, Any]) -> None:
    if not asked["gpus"]:
        check_left_out("without --gpus", ray=asked["ray"] is not None)
    with session_of(command, out, asked, net=net) as session:
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
