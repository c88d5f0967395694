"""A mistake takes a change of plan back, as long as no work was done by it."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bneck.derivation.plan import Plan
from bneck.derivation.session import open_run
from bneck.errors import BneckError, UsageError
from bneck.progress import silent
from bneck.results.run import Run


def change(folder: Path, plan: Plan, work: str, error: Exception | None = None) -> None:
    """Open a run with a plan, write a file, and end with an error."""
    with suppress(BneckError), open_run(plan, folder, silent) as opened:
        if work:
            (opened.folder / work).parent.mkdir(exist_ok=True)
            (opened.folder / work).write_text("work")
        if error is not None:
            raise error


@pytest.mark.parametrize(
    ("error", "work", "kept"),
    [
        (UsageError("a mistake"), "", 1.0),
        (UsageError("a mistake"), "images.json", 1.0),
        (UsageError("a mistake"), "checkpoints/derived.checkpoint", 2.0),
        (UsageError("a mistake"), "journal.log", 2.0),
        (BneckError("a failure"), "", 2.0),
        (None, "", 2.0),
    ],
)
def test_a_change_of_plan_stands_once_work_was_done_by_it(
    tmp_path: Path, error: Exception | None, work: str, kept: float
) -> None:
    short = Plan(target="1.0", epochs=1.0)
    change(tmp_path, short, "result.json")
    change(tmp_path, short, "checkpoints/derived.json")
    change(tmp_path, replace(short, epochs=2.0), work, error)
    assert Run.read(tmp_path).plan["epochs"] == kept
    back = kept == 1.0
    assert (tmp_path / "result.json").exists() == back
    assert (tmp_path / "checkpoints/derived.json").exists() == back
    assert (tmp_path / "superseded").exists() != back
