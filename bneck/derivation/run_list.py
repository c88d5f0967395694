"""The runs of a folder at a glance."""

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bneck import records
from bneck.derivation.results import (
    counted_early,
    explained,
    made_by,
    plan_of,
    read_trials,
    result_of_last_stage,
)
from bneck.errors import BneckError, UsageError
from bneck.files import is_written
from bneck.path_checks import check_folder
from bneck.quantities import Accuracy, Latency
from bneck.results.checksums import changed, missing
from bneck.results.plan_change import SUPERSEDED
from bneck.results.record import Outcome
from bneck.results.run import Run
from bneck.results.run_files import only_shows
from bneck.results.run_folder import PLAN, is_run
from bneck.space.spaces import SPACES
from bneck.units import milliseconds, percent


@dataclass(frozen=True, slots=True)
class Listed:
    """One run: its state, its best network in words, and its times in seconds.

    ``problem`` says why a run cannot be read; ``idle_s`` is since its files last changed;
    ``changed`` and ``missing`` name files that are no longer what the run wrote, or no longer
    there, where that was asked.
    """

    folder: Path
    state: str
    best: str
    problem: str
    age_s: float | None
    idle_s: float | None
    version: str
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def list_runs(folder: Path, *, check: bool) -> list[Listed]:
    """The runs in ``folder`` itself and up to two folders below it, newest change first.

    Args:
        folder: where they are.
        check: whether to tell which files were changed since the last command on a run ended.

    Raises:
        UsageError: there is no such folder, or no run in it.
    """
    check_folder(folder)
    places = (PLAN, f"*/{PLAN}", f"*/*/{PLAN}")
    found = (plan.parent for place in places for plan in folder.glob(place))
    folders = [one for one in found if not _is_superseded(one)]
    if not folders:
        raise UsageError(f"no runs in {folder}; a run's folder holds a {PLAN}")
    listed = [_listed(one, check) for one in folders]
    return sorted(listed, key=lambda one: (one.idle_s is None, one.idle_s, str(one.folder)))


def _is_superseded(folder: Path) -> bool:
    """Whether a folder is not a run, but holds what a change of a run's plan has replaced."""
    return folder.parent.name == SUPERSEDED and is_run(folder.parent.parent)


def _listed(folder: Path, check: bool) -> Listed:
    try:
        run = Run.read(folder)
        sessions = run.read_sessions()
        with explained(run):
            best = _best(run)
        began = datetime.fromisoformat(sessions[0].started) if sessions else None
        age = _since(began.timestamp()) if began else None
        removed = tuple(sorted(missing(folder))) if check else ()
        altered = tuple(one for one in changed(folder) if one not in removed) if check else ()
    except (BneckError, OSError, ValueError, TypeError) as error:
        return Listed(folder, "unreadable", "", str(error), None, _idle(folder), "–")
    idle, version = _idle(folder), made_by(run)
    return Listed(folder, run.read_state(), best, "", age, idle, version, altered, removed)


def _idle(folder: Path) -> float | None:
    """Seconds since a file of the run last changed, apart from those that looking at it writes.

    None where no file can be looked at, as in a folder of another user.
    """
    changed = []
    with suppress(OSError):
        for file in folder.iterdir():
            with suppress(OSError):  # a file that its run has removed meanwhile
                if file.is_file() and not only_shows(file.relative_to(folder)):
                    changed.append(file.stat().st_mtime)
    return _since(max(changed)) if changed else None


def _since(then_s: float) -> float:
    """Seconds since a time; 0 where a clock that is set back has not come to it yet."""
    return max(0.0, time.time() - then_s)


def _best(run: Run) -> str:
    """The derived network, else what the last stage ended with, else the trial of largest reward.

    Rewards are compared last: a search that derives its w from the target has several. One for the
    whole front has none: there it is the most accurate trial.
    """
    outcome = records.read_if_written(run.result, Outcome)
    if outcome and outcome.accuracy is not None:
        return _as_found(outcome.accuracy, outcome.measured, outcome.predicted)
    if is_written(run.network) or is_written(run.winners):
        plan = plan_of(run)
        last = result_of_last_stage(run, plan, None)
        found, searched = last.networks, last.stage == "search"
        one = found[0 if searched else -1] if found else None  # of several, the run's own network
        if one is not None and one.accuracy is not None:
            words = [_as_found(one.accuracy, one.measured, one.predicted)]
            words += [one.name] * searched
            return ", ".join(filter(None, (*words, counted_early(last, plan))))
    space = str(run.plan.get("space"))
    if ":" in space and space not in SPACES:  # what a file names is not imported
        return f"networks of {space}"
    scored = [record for record in read_trials(run) if record.accuracy is not None]
    if scored:
        top = max(scored, key=lambda record: (record.reward or 0.0, record.accuracy or 0.0))
        return f"{_words(top.accuracy or 0.0, top.latency_ms, 'predicted')}, trial {top.number}"
    if run.begun_by() == "reproduce" and is_written(run.folder / "summary.md"):
        return "see its summary.md"
    return "no network yet"


def _as_found(accuracy: Accuracy, measured: Latency | None, predicted: Latency | None) -> str:
    """A network's accuracy, with its latency as it was measured, else as it is predicted."""
    took, how = (measured, "measured") if measured else (predicted, "predicted")
    return _words(accuracy.value, took.ms if took else None, how)


def _words(accuracy: float, ms: float | None, how: str) -> str:
    return percent(accuracy) + (f" at {milliseconds(ms)} ms {how}" if ms is not None else "")
