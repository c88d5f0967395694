"""What a run's folder says about its version and its trials, read without drawing anything."""

from collections.abc import Iterator
from contextlib import contextmanager

from bneck import __version__
from bneck.derivation.plan import Plan
from bneck.errors import UsageError
from bneck.files import is_written, read_json
from bneck.results.record import Record
from bneck.results.run import Run
from bneck.search.study import read_records
from bneck.space import spaces


@contextmanager
def explained(run: Run) -> Iterator[None]:
    """Where a run of another version cannot be read, say which version made it."""
    try:
        yield
    except UsageError as error:
        if (version := made_by(run)) == __version__:
            raise
        raise UsageError(
            f"{run.folder} was made by bneck {version} and this is {__version__}, which reads it "
            f"otherwise: {error}; use bneck {version} for this run, or begin a new one"
        ) from None


def made_by(run: Run) -> str:
    """The version of bneck that last worked on the run."""
    sittings = run.sittings
    return sittings[-1].versions.get("bneck", "unknown") if sittings else "unknown"


def read_trials(run: Run) -> list[Record]:
    """The networks that the search has evaluated so far."""
    if not is_written(run.journal) or not is_written(run.latency):
        return []
    plan, size = Plan.from_dict(dict(run.plan)), read_json(run.images)
    space = spaces.build(
        plan.space or "", resolution_px=size["resolution_px"], classes=len(size["class_names"])
    )
    return read_records(run.journal, space)
