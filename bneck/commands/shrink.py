"""The command ``shrink``: NetAdapt from any network, trained or not, to one target or several."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bneck.commands.common import JsonOption, SeedOption
from bneck.commands.deriving import print_result, session_of
from bneck.commands.options import (
    CalibrationOption,
    DataOption,
    DeltaOption,
    EpochsOption,
    FineTuneOption,
    GpusOption,
    LatencyOption,
    MaybeTargetOption,
    NetOrRun,
    OutOption,
    RayOption,
    ResolutionOption,
    RuntimeOption,
    SearchStepsOption,
    SpaceOption,
    TargetsOption,
    ThreadsOption,
    TimeLimitOption,
    WorkersOption,
)
from bneck.errors import UsageError

if TYPE_CHECKING:
    from bneck.derivation.netadapt_stage import Shrunk
    from bneck.results.record import Step

WeightsOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="NET's trained weights: safetensors, or torchvision's state dict (.pth).",
        show_default="train NET first",
    ),
]
NewClassesOption = Annotated[
    bool,
    typer.Option("--new-classes", help="The weights may know other classes than the data has."),
]
ImportanceOption = Annotated[
    str, typer.Option(help="Which channels stay: those of largest l2 norm, or taylor importance.")
]
FinishOption = Annotated[
    str | None,
    typer.Option(
        help="Train what came out for --epochs: fine-tune, or from scratch.",
        show_default="neither",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(shrink)


def shrink(
    context: typer.Context,
    net: NetOrRun,
    out: OutOption,
    target: MaybeTargetOption = None,
    targets: TargetsOption = None,
    weights: WeightsOption = None,
    new_classes: NewClassesOption = False,
    space: SpaceOption = "v3-small",
    data: DataOption = "digits",
    seed: SeedOption = 0,
    resolution_px: ResolutionOption = None,
    runtime: RuntimeOption = "onnxruntime",
    threads: ThreadsOption = 1,
    latency: LatencyOption = None,
    calibration_minutes: CalibrationOption = 2.0,
    delta: DeltaOption = 0.04,
    importance: ImportanceOption = "l2",
    search_steps: SearchStepsOption = None,
    fine_tune_steps: FineTuneOption = None,
    finish: FinishOption = None,
    epochs: EpochsOption = None,
    workers: WorkersOption = None,
    ray: RayOption = None,
    gpus_per_trial: GpusOption = 0.0,
    time_limit: TimeLimitOption = None,
    json: JsonOption = False,
) -> None:
    """Shrink a network to latency targets by NetAdapt; --space says what to calibrate on."""
    if target is None and targets is None:
        raise UsageError("shrink needs a target: --target, or --targets for several")
    from bneck.results import codec
    from bneck.results.record import Step

    with session_of(context, seed_network=net) as session:
        from bneck.derivation import pipeline  # torch and all: after the mistakes

        found = pipeline.shrink(session)
        steps = codec.read_lines(session.run.steps, Step)
    run = session.run
    files = {one: run.of_target(one.target_ms) if len(found) > 1 else run.network for one in found}
    last = found[-1]
    result = {
        "target_ms": last.target_ms,
        "predicted_ms": last.predicted.ms,
        "measured_ms": last.measured.ms,
        "accuracy": last.accuracy and last.accuracy.value,
        "steps": last.step,
        "arch": str(run.network),
        "weights": str(run.weights),
        "report": str(run.report),
        "networks": [codec.flat(one) | {"arch": str(file)} for one, file in files.items()],
        "family": [_about(step) for step in steps],
    }
    text = [_table(steps), *(_in_words(net, one) for one in found)]
    text.append(f"network {run.network}, weights {run.weights}, report {run.report}")
    print_result(json, result, "\n".join(text))


def _about(step: "Step") -> dict[str, Any]:
    return {
        "step": step.number,
        "move": step.move,
        "predicted_ms": step.latency_ms,
        "accuracy": step.accuracy and step.accuracy.value,
        "accuracy_stderr": step.accuracy and step.accuracy.stderr,
    }


def _table(steps: "tuple[Step, ...]") -> str:
    """The family: every network on the way, with its accuracy after the short fine-tuning."""
    from bneck.results.units import aligned, decimals, percent, with_spread

    places = decimals(steps[-1].latency_ms)
    rows = [("step", "predicted ms", "accuracy", "move")]
    for step in steps:
        accuracy = percent(step.accuracy) if step.accuracy else ""
        ms = with_spread(step.latency_ms, None, places)
        rows.append((str(step.number), ms, accuracy, step.move))
    return aligned(rows)


def _in_words(net: str, one: "Shrunk") -> str:
    accuracy = "" if one.accuracy is None else f", accuracy {one.accuracy.value:.4f}"
    if one.met:
        return (
            f"{net} meets the target of {one.target_ms:.4g} ms as it is: "
            f"{one.measured.ms:.4g} ms measured{accuracy}"
        )
    number = f"{one.step} step{'' if one.step == 1 else 's'}"
    return (
        f"{number}: {one.measured.ms:.4g} ms measured (target {one.target_ms:.4g} ms, "
        f"predicted {one.predicted.ms:.4g} ms){accuracy}"
    )
