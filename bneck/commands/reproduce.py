"""The command ``reproduce``: a published derivation, stage by stage."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from bneck.commands.common.options import JsonOption, OutOption, planned
from bneck.commands.common.output import print_result
from bneck.derivation.execution import Execution
from bneck.files import write_whole
from bneck.live import TerminalProgress
from bneck.reproduction.plan import ReproductionPlan
from bneck.results.run import Run
from bneck.space.checks import check_word
from bneck.stdout import stdout_for_results

KNOWN = ("v3-small",)


@planned([one.name for one in fields(ReproductionPlan)], ReproductionPlan)
@planned(["workers", "wait_quiet"], Execution)
def reproduce(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help=f"What to repeat: {' or '.join(KNOWN)}.")
    ],
    out: OutOption,
    stage: Annotated[
        str | None,
        typer.Option(
            help="One stage alone: calibrate, search-paper, search-derived, netadapt, measure, "
            "train-FACTOR, measure-trained or likeness.",
            show_default="all, in order",
        ),
    ] = None,
    json: JsonOption = False,
    **asked: Any,
) -> None:
    """Repeat MobileNetV3-Small's derivation on this machine."""
    from bneck.derivation.session import check_asked  # numpy, and not for --help
    from bneck.reproduction.allowed_changes import change_plan

    check_word("reproduction", what, KNOWN)
    execution = Execution(workers=asked.pop("workers"), wait_quiet=asked.pop("wait_quiet"))
    plan = ReproductionPlan(**asked)
    if stage is not None:
        check_word("stage", stage, plan.stages)
    check_asked(plan.whole(), out, execution)
    with (
        Run.open(
            out, plan.as_dict(), defaults=ReproductionPlan.defaults(), change=change_plan
        ) as run,
        run.end_noted(),
        stdout_for_results(),
    ):
        file, stages = out / "summary.md", (stage,) if stage else plan.stages
        text = _reproduced(run, plan, stages, execution, file)
    print_result(json, {"summary": str(file), "stages": list(stages)}, text)


def _reproduced(
    run: Run, plan: ReproductionPlan, stages: Sequence[str], execution: Execution, file: Path
) -> str:
    """Do these stages, writing the summary after each, and return it."""
    from bneck.derivation.session import Session
    from bneck.reproduction.pipeline import Reproduction  # torch and all: after the mistakes
    from bneck.reproduction.report import draw, summary

    with closing(execution.open(plan.device)) as executor:
        wait_quiet, progress = execution.wait_quiet, TerminalProgress()
        session = Session(run, plan.whole(), executor, executor, progress, wait_quiet=wait_quiet)
        work, text = Reproduction(plan, session), ""
        for name in stages:
            with work.session.timed(name):
                work.stages[name]()
            text = summary(work.results)
            write_whole(file, text)
            draw(work.results)
        return text
