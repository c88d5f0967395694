"""The command ``runs``: the runs in a folder."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bneck.commands.common.options import JsonOption
from bneck.commands.common.output import print_result
from bneck.errors import BneckError, UsageError
from bneck.live import warn
from bneck.path_checks import check_folder
from bneck.results import lock
from bneck.results.run_folder import is_run
from bneck.text import aligned
from bneck.units import duration

USUAL = Path("runs")
"""Folder that the docs put runs into."""


def runs(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where runs lie.")] = USUAL,
    check: Annotated[
        bool, typer.Option("--check", help="Also name files that are not what the run wrote.")
    ] = False,
    break_lock: Annotated[
        bool,
        typer.Option(
            "--break-lock", help="Free the run in FOLDER, whose driver crashed on another machine."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """List the runs in a folder: state, best network, age."""
    if folder == USUAL and not folder.exists():
        raise UsageError(f"no such folder: {folder}; for those of this folder: bneck runs .")
    check_folder(folder)
    if break_lock:
        driver = lock.break_lock(folder)
        if driver is None and not is_run(folder):
            raise UsageError(f"{folder} is not a run's folder: name the run that is to be freed")
        warn(f"{folder} was held by {driver}" if driver else f"{folder} was held by nobody")
    from bneck.derivation.run_list import list_runs  # all that reads runs: after the mistake

    found = list_runs(folder, check=check)
    lines: list[tuple[Any, ...]] = [("run", "state", "best", "age", "last change", "made by", "")]
    for one in found:
        age, idle = (
            "–" if seconds is None else duration(seconds) for seconds in (one.age_s, one.idle_s)
        )
        best = one.best or "–"
        lines.append((str(one.folder), one.state, best, age, idle, one.version, one.problem))
    result = {"runs": [{**asdict(one), "folder": str(one.folder)} for one in found]}
    print_result(json, result, aligned(lines))
    changed = ", ".join(str(one.folder / name) for one in found for name in one.changed)
    missing = ", ".join(str(one.folder / name) for one in found for name in one.missing)
    words = [f"changed since the run wrote them: {changed}"] * bool(changed)
    words += [f"missing: {missing}"] * bool(missing)
    if words:
        raise BneckError("; ".join(words))
