"""The command ``runs``: the runs in a folder."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bneck.commands.options import JsonOption
from bneck.commands.output import print_result
from bneck.files import check_folder
from bneck.quantities import duration
from bneck.results.units import aligned


def runs(
    folder: Annotated[Path, typer.Argument(help="Where runs lie.")] = Path("runs"),
    json: JsonOption = False,
) -> None:
    """List the runs in a folder: state, best network, age."""
    check_folder(folder)
    from bneck.derivation.run_list import list_runs  # all that reads runs: after the mistake

    found = list_runs(folder)
    lines: list[tuple[Any, ...]] = [("run", "state", "best", "age", "last change", "made by")]
    for one in found:
        age, idle = (
            "–" if seconds is None else duration(seconds) for seconds in (one.age_s, one.idle_s)
        )
        lines.append((str(one.folder), one.state, one.best or one.problem, age, idle, one.version))
    result = {"runs": [{**asdict(one), "folder": str(one.folder)} for one in found]}
    print_result(json, result, aligned(lines))
