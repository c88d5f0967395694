"""Commands that make a run: derive, and its stages alone; and the report of one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bneck.commands.common import JsonOption, SeedOption
from bneck.commands.deriving import print_result, session_of
from bneck.commands.options import (
    BatchOption,
    CalibrationOption,
    ConfidenceOption,
    DataOption,
    DeltaOption,
    EpochsOption,
    EvaluationsOption,
    FineTuneOption,
    GpusOption,
    LatencyOption,
    MaybeTargetOption,
    NetOrRun,
    OutOption,
    ProxyOption,
    RayOption,
    ResolutionOption,
    RewardExponentOption,
    RewardOption,
    RuntimeOption,
    SamplerOption,
    SearchStepsOption,
    SeedFactorOption,
    SpaceOption,
    TargetsOption,
    ThreadsOption,
    TimeLimitOption,
    WorkersOption,
)
from bneck.commands.search import search
from bneck.errors import UsageError

if TYPE_CHECKING:
    from bneck.results.record import Outcome
    from bneck.results.run import Run


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (derive, search, train, report):
        app.command()(command)


def derive(
    context: typer.Context,
    out: OutOption,
    target: MaybeTargetOption = None,
    targets: TargetsOption = None,
    space: SpaceOption = "v3-small",
    data: DataOption = "digits",
    seed: SeedOption = 0,
    resolution_px: ResolutionOption = None,
    runtime: RuntimeOption = "onnxruntime",
    threads: ThreadsOption = 1,
    latency: LatencyOption = None,
    calibration_minutes: CalibrationOption = 2.0,
    sampler: SamplerOption = "surrogate",
    evaluations: EvaluationsOption = 24,
    batch: BatchOption = 2,
    reward: RewardOption = "soft",
    reward_exponent: RewardExponentOption = None,
    confidence: ConfidenceOption = 0.9,
    seed_factor: SeedFactorOption = 1.25,
    delta: DeltaOption = 0.04,
    proxy: ProxyOption = None,
    search_steps: SearchStepsOption = None,
    fine_tune_steps: FineTuneOption = None,
    epochs: EpochsOption = None,
    workers: WorkersOption = None,
    ray: RayOption = None,
    gpus_per_trial: GpusOption = 0.0,
    time_limit: TimeLimitOption = None,
    json: JsonOption = False,
) -> None:
    """Derive a network: calibrate, search, shrink, train, measure, export, report."""
    from bneck.results.run import Run
    from bneck.results.summary import against, verdict

    if target is None and targets is None:
        raise UsageError("derive needs a target: --target, or --targets for several")
    with session_of(context) as session:
        from bneck.derivation import pipeline  # torch and all: after the mistakes
        from bneck.results import codec
        from bneck.results.record import Baseline

        outcomes = pipeline.derive(session)
        (baseline,) = codec.read_lines(session.run.baselines, Baseline)
    run = session.run
    others = [Run.read(run.run_of_target(outcome.target_ms)) for outcome in outcomes[1:]]
    results = [_about(*pair) for pair in zip(outcomes, (run, *others), strict=True)]
    result = results[0] | ({"networks": results} if others else {})
    text = []
    for outcome, one in zip(outcomes, (run, *others), strict=True):
        text += [verdict(outcome), against(outcome, baseline)]
        text.append(f"network {one.network}, ONNX {one.onnx}, report {one.report}")
    text.append(f"to use it: bneck predict {run.folder} IMAGE...")
    print_result(json, result, "\n".join(text))


def _about(outcome: "Outcome", run: "Run") -> dict[str, Any]:
    return {
        "target_ms": outcome.target_ms,
        "predicted_ms": outcome.predicted.ms,
        "measured_ms": outcome.measured and outcome.measured.ms,
        "accuracy": outcome.accuracy and outcome.accuracy.value,
        "params": outcome.params,
        "macs": outcome.macs,
        "arch": str(run.network),
        "onnx": str(run.onnx),
        "report": str(run.report),
        "seconds": outcome.seconds,
    }


def train(
    context: typer.Context,
    net: NetOrRun,
    out: OutOption,
    data: DataOption = "digits",
    seed: SeedOption = 0,
    resolution_px: ResolutionOption = None,
    epochs: EpochsOption = None,
    json: JsonOption = False,
) -> None:
    """Train a network from scratch, and export it."""
    from bneck.results.units import percent

    with session_of(context, seed_network=net) as session:
        from bneck.derivation import pipeline  # torch and all: after the mistakes

        trained = pipeline.train(session)
    run = session.run
    result = {
        "accuracy": trained.accuracy.value,
        "accuracy_stderr": trained.accuracy.stderr,
        "seconds": trained.seconds,
        "arch": str(run.network),
        "weights": str(run.weights),
        "onnx": str(run.onnx),
    }
    text = (
        f"accuracy {percent(trained.accuracy)} after {trained.seconds:.0f} s\n"
        f"network {run.network}, weights {run.weights}, ONNX {run.onnx}"
    )
    print_result(json, result, text)


def report(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Also write RUN/pictures, as PNG and SVG.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write a run's report.html anew; the run may still be going on."""
    from bneck.results.run import Run

    opened = Run.read(run)
    from bneck.derivation.report import write_pictures, write_report  # all that draws

    path = write_report(opened)
    drawn = [str(file) for file in write_pictures(opened)] if pictures else []
    print_result(json, {"report": str(path), "pictures": drawn}, "\n".join([str(path), *drawn]))
