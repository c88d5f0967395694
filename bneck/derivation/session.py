"""What every stage of a derivation is given: a run's folder, its plan, and where work runs."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bneck import live
from bneck.derivation.allowed_changes import change_plan
from bneck.derivation.execution import Execution
from bneck.derivation.plan import Plan
from bneck.derivation.schedule import Schedule
from bneck.derivation.validation import check
from bneck.errors import BneckError, NotReady
from bneck.executors import Executor
from bneck.files import write_json
from bneck.latency.devices import Device, check_wait, open_device
from bneck.machine import Compute
from bneck.progress import Progress, silent
from bneck.proxies.data.image_spec import check_apart
from bneck.results.checksums import CHECKSUMS, changed, missing, seal
from bneck.results.plan_file import as_written, plan_before
from bneck.results.run import Run
from bneck.results.run_folder import PLAN, is_run
from bneck.stdout import stdout_for_results


@dataclass(frozen=True, slots=True)
class Session:
    """One driver at work on one run.

    Attributes:
        executor: where networks are scored and proposals fine-tuned: here, or on a cluster.
        trainer: where long trainings run: on this machine, beside the run's folder.
        schedule: what the stages are expected to take, once that is known.
        wait_quiet: minutes to wait, at most, for a quiet target device before each measurement.
        device_here: what this machine itself trains on; the plan's device unless given, which with
            Ray may be one that only the cluster has.
        warned: what was said by ``warn_once``, also to sessions that are made from this one.
        opened: the target device once it is opened, for these sessions too.
        command: what repeats the run; None where the command line of this process does.
    """

    run: Run
    plan: Plan
    executor: Executor
    trainer: Executor
    progress: Progress = silent
    schedule: Schedule = field(default_factory=Schedule)
    wait_quiet: float = 0.0
    device_here: str | None = None
    warned: set[str] = field(default_factory=set)
    opened: list[Device] = field(default_factory=list)
    command: str | None = None

    def warn_once(self, text: str) -> None:
        """Print a warning, unless this command has printed it before."""
        if text not in self.warned:
            self.warned.add(text)
            live.warn(text)

    def target_device(self) -> Device:
        """Return the plan's target device, opened and connected to once for all stages."""
        if not self.opened:
            self.opened.append(planned_device(self.plan))
        return self.opened[0]

    def close(self) -> None:
        """End the connection to the target device, if one was made."""
        for device in self.opened:
            device.close()

    def compute_here(self, threads: int | None = None) -> Compute:
        """Return what a training runs on that is on this machine, whatever the cluster has."""
        return Compute(self.device_here or self.plan.device, threads)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent to that of ``stage`` in the run's folder, also when it ends early.

        A stage that is not ready has spent none: it would be listed as one that was begun.
        """
        begun = time.monotonic()
        self.schedule.begin(stage)
        try:
            yield
        except NotReady:
            raise
        except BaseException:
            with suppress(BneckError):  # a full disk is told by the file that it failed first
                self._add_seconds(stage, time.monotonic() - begun)
            raise
        self._add_seconds(stage, time.monotonic() - begun)
        self.schedule.finish(stage, self.progress)

    def _add_seconds(self, stage: str, seconds: float) -> None:
        self.note_seconds(stage, self.run.read_seconds().get(stage, 0.0) + seconds)

    def note_seconds(self, stage: str, seconds: float) -> None:
        """Note all seconds of ``stage`` in the run's folder, in place of those noted before."""
        write_json(self.run.seconds, self.run.read_seconds() | {stage: seconds})


def planned_device(plan: Plan) -> Device:
    """Return the target device that a plan names, with its runtime and settings."""
    return open_device(
        plan.target_device, runtime=plan.runtime, threads=plan.threads, batch_size=plan.batch_size
    )


def open_run(plan: Plan, out: Path, progress: Progress, *, command: str | None = None) -> Run:
    """Begin or resume the run in ``out``, making way for what may change in its plan.

    Args:
        plan: what is asked.
        out: the run's folder.
        progress: told what work is reused where the plan has changed.
        command: what repeats the run; by default the command line of this process.

    Raises:
        UsageError: a change that needs another run, or another driver at work.
    """
    return Run.open(
        out,
        plan.as_dict(),
        defaults=Plan.defaults(),
        command=command,
        change=lambda run, was: change_plan(run, was, progress),
    )


def _kept(plan: Plan, out: Path) -> set[str]:
    """The fields of the plan that a run in ``out`` was begun with just so; none of a new run."""
    if not (out.is_dir() and is_run(out)):  # is_dir refuses a name that is too long
        return set()
    now = as_written(plan.as_dict())
    before = plan_before(out / PLAN, now, Plan.defaults())
    return {name for name, value in now.items() if before.get(name) == value}


def check_asked(plan: Plan, out: Path, execution: Execution, *, trains: bool = True) -> str:
    """Refuse what cannot be before a run is opened; return what this machine itself trains on.

    Args:
        plan: what is asked.
        out: the run's folder.
        execution: where the work runs.
        trains: as ``open_session`` takes it.

    Raises:
        UsageError: an impossible word or number, or a folder among the images.
    """
    execution.check(plan.device)
    check_wait(plan.target_device, execution.wait_quiet)
    check(plan, trains=trains, kept=_kept(plan, out))
    here = execution.device_here(plan.device, trains=trains)
    check_apart(plan.data, out)
    return here


@contextmanager
def open_session(
    plan: Plan,
    out: Path,
    execution: Execution,
    *,
    command: str | None = None,
    progress: Progress = silent,
    trains: bool = True,
) -> Iterator[Session]:
    """Begin or resume the run in ``out``; its report is written when all is done.

    Stdout is kept for the result: whatever libraries print meanwhile goes to stderr.

    Args:
        plan: what is asked; a run that was begun with another plan is refused.
        out: the run's folder.
        execution: where the work runs.
        command: what repeats the run; by default the command line of this process.
        progress: is told how far the work is.
        trains: whether more is trained than the workers score, so that a table of accuracies will
            not do as data, and this machine's own GPU must have room.

    Raises:
        UsageError: an impossible word or number in the plan, or another plan than the folder's.
    """
    here = check_asked(plan, out, execution, trains=trains)
    # Before the run is opened, which changes it too; a name that is too long is refused by is_dir.
    altered, removed = (changed(out), missing(out)) if out.is_dir() else ((), {})
    with open_run(plan, out, progress, command=command) as run, stdout_for_results():
        progress("starting", 0, 1)
        for name in altered:
            how = "is missing: it was removed" if name in removed else "was changed"
            live.warn(f"{run.folder / name} {how} since the run's last command ended")
        removed = {
            name: digest
            for name, digest in removed.items()
            if not run.plan_change.is_obsolete(name)
        }
        (run.folder / CHECKSUMS).unlink(missing_ok=True)
        with (
            closing(execution.open(plan.device)) as executor,
            closing(execution.open_trainer(executor, plan.device, here)) as trainer,
        ):
            schedule = Schedule()
            session = Session(
                run,
                plan,
                executor,
                trainer,
                schedule.beside(progress),
                schedule,
                wait_quiet=execution.wait_quiet,
                device_here=here,
                command=command,
            )
            try:
                with run.end_noted():
                    yield session
                from bneck.derivation.report import write_report  # all that draws: after the work

                write_report(run)
                seal(run.folder, removed)
            finally:
                session.close()
                live.close()
