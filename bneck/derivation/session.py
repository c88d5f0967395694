"""A derivation in its run's folder, with an executor: what commands and notebooks drive."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bneck import executors, live
from bneck.derivation.plan import Plan
from bneck.derivation.validation import check
from bneck.files import write_json
from bneck.progress import Progress, silent
from bneck.results.run import Run

if TYPE_CHECKING:
    from bneck.derivation.pipeline import Derivation


@contextmanager
def driven(
    plan: Plan,
    out: Path,
    *,
    command: str | None = None,
    workers: int | None = None,
    ray: str | None = None,
    gpus_per_trial: float = 0.0,
    time_limit_s: float | None = None,
    asha: bool = False,
    progress: Progress = silent,
    trains: bool = True,
) -> Iterator["Derivation"]:
    """The derivation in ``out``, begun or gone on with; its report is written when all is done.

    Stdout is kept for the result: whatever libraries print meanwhile goes to stderr.

    Args:
        trains: whether networks will be trained, so that a table of accuracies will not do as data.

    Raises:
        UsageError: a word of the plan that cannot be, or another plan than the folder's.
    """
    executors.check(workers, ray, gpus_per_trial, time_limit_s, asha=asha)
    check(plan, trains=trains)
    with (
        Run.open(out, plan.as_dict(), defaults=Plan.defaults(), command=command) as run,
        redirect_stdout(sys.stderr),
    ):
        from bneck.derivation.context import Setting
        from bneck.derivation.pipeline import Derivation  # torch and all: after the mistakes
        from bneck.derivation.report import write_report

        executor = executors.open_executor(
            workers,
            ray=ray,
            gpus_per_trial=gpus_per_trial,
            time_limit_s=time_limit_s,
            asha=run.checkpoints / "asha" if asha else None,
        )
        run.ended.unlink(missing_ok=True)
        try:
            yield Derivation(Setting(run, plan, progress), executor)
            write_json(run.ended, {"ended": datetime.now(UTC).isoformat(timespec="seconds")})
            write_report(run)
        finally:
            live.close()
            executor.close()
