"""The command ``derive``: the whole derivation, for one target or several."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from bneck import records
from bneck.commands.common.options import JsonOption, OutOption
from bneck.commands.common.output import print_result
from bneck.commands.common.session import run_options, session_of
from bneck.derivation.target import runs_of_other_targets
from bneck.errors import BneckError
from bneck.results.exports import IN_8_BITS
from bneck.results.exports.int8_text import cost_of_int8
from bneck.results.record import Baseline, Outcome
from bneck.results.run import Run
from bneck.results.summary import against, is_met, only_answer, reservations, verdict

if TYPE_CHECKING:
    from bneck.derivation.plan import Plan
    from bneck.results.classification import Classification


@run_options("derive")
def derive(out: OutOption, json: JsonOption = False, **asked: Any) -> None:
    """Derive a network for a device, a latency target and images.

    The stages: calibrate, search, NetAdapt, train, measure, export, report.
    """
    with session_of("derive", out, asked) as session:
        from bneck.derivation import pipeline  # torch and all: after the mistakes

        outcomes = pipeline.derive(session)
        (baseline,) = records.read_lines(session.run.baselines, Baseline)
    run = session.run
    named = [*zip(outcomes, (run, *runs_of_other_targets(run)), strict=True)]
    results = [_about(*pair) for pair in named]
    result = results[0] | ({"networks": results} if len(results) > 1 else {})
    text = []
    for outcome, one in named:
        text.append(f"{verdict(outcome)} {reservations(outcome)}".strip())
        text.append(f"{against(outcome, baseline)} {only_answer(_classes(one))}".strip())
        text += [cost_of_int8(outcome.int8)] if outcome.int8 else []
        text.append(f"network {one.network}, ONNX {one.onnx}, report {one.report}")
    text += next_steps(session.plan, run.folder, measured=all(one.measured for one in outcomes))
    print_result(json, result, "\n".join(text))
    if not all(map(is_met, outcomes)):
        raise BneckError("a network misses its target")


def next_steps(plan: "Plan", folder: Path, *, measured: bool) -> list[str]:
    """How the network in a run's folder is used, and how a device measures it that has not yet."""
    from bneck.derivation.session import planned_device
    from bneck.latency.devices.file import FileDevice

    said = [f"to use it: bneck predict {quote(str(folder))} IMAGE..."]
    written = {"litert": "tflite", **IN_8_BITS}.get(plan.runtime)
    if written is not None:
        file = f"FILE.{written.removesuffix('-int8')}"
        said.append(f"for {plan.runtime}: bneck export {quote(str(folder))} {file} --to {written}")
    device = planned_device(plan)
    if isinstance(device, FileDevice) and not measured:
        said.append(f"to measure it: {device.steps()}")
    return said


def _classes(run: Run) -> "Classification | None":
    from bneck.results.classification import Classification  # numpy, and not for --help

    return records.read_if_written(run.classification, Classification)


def _about(outcome: Outcome, run: Run) -> dict[str, Any]:
    classes = _classes(run)
    return {
        "target_ms": outcome.target_ms,
        "predicted_ms": outcome.predicted.ms,
        "measured_ms": outcome.measured and outcome.measured.ms,
        "latency_is": "measured" if outcome.measured else "predicted",
        "met": is_met(outcome),
        "note": outcome.note,
        "accuracy": outcome.accuracy and outcome.accuracy.value,
        "balanced_accuracy": classes and classes.balanced_accuracy,
        "int8_accuracy": outcome.int8 and outcome.int8.accuracy.value,
        "test_accuracy": outcome.test_accuracy and outcome.test_accuracy.value,
        "params": outcome.params,
        "macs": outcome.macs,
        "arch": str(run.network),
        "onnx": str(run.onnx),
        "report": str(run.report),
        "seconds": outcome.seconds,
    }
