"""The command ``report``: a run's report, written again."""

from pathlib import Path
from typing import Annotated

import typer

from bneck.commands.common.options import JsonOption
from bneck.commands.common.output import print_result
from bneck.results.run import Run


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.")],
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Also write RUN/pictures, as PNG and SVG.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write a run's report again, also while it is running."""
    opened = Run.read(run)
    from bneck.derivation.report import write_pictures, write_report  # all that draws

    path = write_report(opened)
    drawn = [str(file) for file in write_pictures(opened)] if pictures else []
    text = [str(path), *drawn]
    if pictures and not drawn:
        text.append("no pictures: the run has no search, NetAdapt's steps or outcome to draw yet")
    print_result(json, {"report": str(path), "pictures": drawn}, "\n".join(text))
