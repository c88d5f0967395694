"""The command ``shrink``: NetAdapt from any network, trained or not, to one target or several."""

from typing import TYPE_CHECKING, Any

from bneck import records
from bneck.commands.common.options import JsonOption, NetArgument, OutOption, check_left_out
from bneck.commands.common.output import print_result
from bneck.commands.common.session import run_options, session_of
from bneck.results.record import Step
from bneck.results.summary import in_words, with_doubt
from bneck.text import aligned, number_of
from bneck.units import decimals, milliseconds, percent

if TYPE_CHECKING:
    from bneck.results.stage_record import Shrunk


@run_options("shrink")
def shrink(net: NetArgument, out: OutOption, json: JsonOption = False, **asked: Any) -> None:
    """Shrink a network to latency targets by NetAdapt."""
    if asked["finish"] is None:
        check_left_out("without --finish", gpus=asked["gpus"] != 0)
    with session_of("shrink", out, asked, net=net) as session:
        from bneck.derivation import pipeline  # torch and all: after the mistakes
        from bneck.derivation.results import doubts

        found = pipeline.shrink(session)
        notes = dict(zip(found, doubts(session.run, found), strict=True))
        steps = records.read_lines(session.run.steps, Step)
    run = session.run
    files = {one: run.of_target(one.target_ms) if len(found) > 1 else run.network for one in found}
    last = found[-1]
    result = {
        "target_ms": last.target_ms,
        "predicted_ms": last.predicted.ms,
        "measured_ms": last.measured and last.measured.ms,
        "latency_is": "measured" if last.measured else "predicted",
        "note": notes[last],
        "accuracy": last.accuracy and last.accuracy.value,
        "steps": last.step,
        "arch": str(run.network),
        "weights": str(run.weights),
        "onnx": str(run.onnx),
        "report": str(run.report),
        "networks": [
            records.flat(one) | {"arch": str(file), "note": notes[one]}
            for one, file in files.items()
        ],
        "family": [_about(step) for step in steps],
    }
    text = [_table(steps), *(with_doubt(_in_words(net, one), notes[one]) for one in found)]
    text.append(
        f"network {run.network}, weights {run.weights}, ONNX {run.onnx}, report {run.report}"
    )
    print_result(json, result, "\n".join(text))


def _about(step: Step) -> dict[str, Any]:
    return {
        "step": step.number,
        "move": step.move,
        "predicted_ms": step.latency_ms,
        "accuracy": step.accuracy and step.accuracy.value,
        "accuracy_stderr": step.accuracy and step.accuracy.stderr,
    }


def _table(steps: tuple[Step, ...]) -> str:
    """The family: every network on the way, with its accuracy after the short fine-tuning."""
    places = decimals(steps[-1].latency_ms)
    rows = [("step", "predicted ms", "accuracy", "move")]
    for step in steps:
        accuracy = percent(step.accuracy) if step.accuracy else ""
        rows.append((str(step.number), milliseconds(step.latency_ms, places), accuracy, step.move))
    return aligned(rows)


def _in_words(net: str, one: "Shrunk") -> str:
    ending = "" if one.accuracy is None else f", accuracy {percent(one.accuracy)}"
    if one.met:
        return (
            f"{net} meets the target of {one.target_ms:.4g} ms as it is: "
            f"{in_words(one.predicted, one.measured)}{ending}"
        )
    return (
        f"{number_of(one.step, 'step')}: {in_words(one.predicted, one.measured)}, "
        f"target {one.target_ms:.4g} ms{ending}"
    )
