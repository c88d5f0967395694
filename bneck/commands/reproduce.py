"""The command ``reproduce``: a published derivation, stage by stage."""

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from bneck.commands.common import JsonOption, SeedOption
from bneck.commands.deriving import print_result
from bneck.commands.options import (
    DataOption,
    DeltaOption,
    EpochsOption,
    FineTuneOption,
    OutOption,
    ResolutionOption,
    RuntimeOption,
    SamplerOption,
    SearchStepsOption,
    SpaceOption,
    ThreadsOption,
    WorkersOption,
)
from bneck.errors import unknown
from bneck.live import TerminalProgress

KNOWN = ("v3-small",)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(reproduce)


def reproduce(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="WHAT", help="v3-small.")],
    out: OutOption,
    data: DataOption = "cifar10",
    space: SpaceOption = "v3-small",
    stage: Annotated[
        str | None,
        typer.Option(
            help="One stage alone: calibrate, search-paper, search-derived, netadapt, measure, "
            "train-FACTOR or likeness.",
            show_default="all, in order",
        ),
    ] = None,
    factors: Annotated[
        str, typer.Option(help="Latencies to derive for, as shares of MobileNetV3-Small's.")
    ] = "1.5,1.0,0.8,0.6",
    repeated: Annotated[
        str, typer.Option(help="Those that are trained with all seeds; the rest with one.")
    ] = "1.0,0.6",
    seeds: Annotated[int, typer.Option(help="Seeds of the trainings.", min=1)] = 3,
    seed: SeedOption = 0,
    resolution_px: ResolutionOption = None,
    runtime: RuntimeOption = "onnxruntime",
    threads: ThreadsOption = 1,
    calibration_minutes: Annotated[
        float, typer.Option(help="Time to spend on calibrating this device.")
    ] = 10.0,
    sampler: SamplerOption = "surrogate",
    evaluations: Annotated[int, typer.Option(help="Networks that each search trains.")] = 60,
    delta: DeltaOption = 0.04,
    search_steps: SearchStepsOption = None,
    fine_tune_steps: FineTuneOption = None,
    epochs: EpochsOption = None,
    random_networks: Annotated[
        int, typer.Option(help="Random networks that likeness is judged by.", min=10)
    ] = 1000,
    workers: WorkersOption = None,
    json: JsonOption = False,
) -> None:
    """Repeat MobileNetV3-Small's derivation on this machine; stopped, it goes on."""
    from dataclasses import fields

    from bneck import executors
    from bneck.derivation.validation import check
    from bneck.files import write_whole
    from bneck.reproduction.plan import ReproductionPlan
    from bneck.results.run import Run

    if what not in KNOWN:
        raise unknown("reproduction", what, KNOWN)
    asked = {item.name: context.params[item.name] for item in fields(ReproductionPlan)}
    plan = ReproductionPlan(**asked)
    check(plan.part(target="1.0x:mobilenet_v3_small"))
    with Run.open(out, plan.as_dict()) as run, redirect_stdout(sys.stderr):
        from bneck.reproduction.pipeline import Reproduction  # torch and all: after the mistakes
        from bneck.reproduction.report import draw, summary

        executor = executors.open_executor(workers)
        try:
            work = Reproduction(run, plan, executor, TerminalProgress())
            if stage is not None and stage not in work.stages:
                raise unknown("stage", stage, work.stages)
            for name in [stage] if stage else work.stages:
                with work.session.timed(name):
                    work.stages[name]()
                write_whole(out / "summary.md", text := summary(work))
                draw(work)
        finally:
            executor.close()
    print_result(json, {"summary": str(out / "summary.md"), "stages": list(work.stages)}, text)
