"""Commands about what came out: compare, runs."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bneck.commands.common import (
    ClassesOption,
    JsonOption,
    ResolutionOption,
    print_json,
)
from bneck.live import TerminalProgress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bneck.derivation.comparison import Compared


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(compare)
    app.command()(runs)


def compare(
    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="NET NET...", help="Presets, JSON files, runs' folders or ONNX files."
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="A latency model, or table:FILE.", show_default="the first run's, if any"
        ),
    ] = None,
    measure: Annotated[bool, typer.Option(help="Time each network here and now.")] = True,
    plot: Annotated[Path | None, typer.Option(help="Also write a picture: png, svg, pdf.")] = None,
    resolution: ResolutionOption = None,
    classes: ClassesOption = None,
    json: JsonOption = False,
) -> None:
    """Lay networks beside each other: cost, latency, accuracy, and where their blocks differ.

    Presets take the input side and class count of the first network that has its own.
    """
    from bneck.derivation import comparison
    from bneck.latency.predictor import open_predictor
    from bneck.results import codec, static_figures
    from bneck.results.differences import differences
    from bneck.results.units import aligned

    table = comparison.load(networks, resolution_px=resolution, classes=classes)
    file = model or comparison.run_model(networks)
    predictor = open_predictor(str(file)) if file else None
    if predictor is not None:
        table = comparison.predicted(table, predictor)
    if measure:
        table = comparison.measured(table, model=predictor, progress=TerminalProgress())
    known = [one.arch for one in table if one.arch is not None]
    found = differences(known)
    if plot is not None:
        static_figures.save(_picture(table), plot)
    if json:
        rows = [codec.flat(one) for one in table]
        for row in rows:
            del row["arch"], row["onnx"]
        print_json({"networks": rows, "differences": [asdict(one) for one in found]})
        return
    print(_as_text(table))
    for doubt in (f"{one.name}: do not trust it: {one.doubt}" for one in table if one.doubt):
        print(doubt)
    if len({one.images for one in table if one.accuracy is not None}) > 1:
        print("the accuracies are of different images, or of images that the file does not name")
    if found:
        names = [one.name for one in table if one.arch is not None]
        lines = [("block", "trait", *names), *((d.path, d.trait, *d.values) for d in found)]
        print(f"\nwhere they differ\n{aligned(lines)}")
    if plot is not None:
        print(f"picture {plot}")


def _picture(table: Sequence["Compared"]) -> "Figure":
    """Measured ms, or predicted ms where none is measured, and accuracies."""
    from bneck.results import static_figures

    latencies = [one.measured or one.predicted for one in table]
    accuracies = [one.accuracy for one in table]
    return static_figures.compared([one.name for one in table], latencies, accuracies)


def _as_text(table: Sequence["Compared"]) -> str:
    from bneck.results import units

    def count(value: int | None) -> str:
        return "–" if value is None else units.count(value)

    lines = [
        (
            "network",
            "px",
            "params",
            "macs",
            "peak memory",
            "predicted ms",
            "measured ms",
            "accuracy",
        )
    ]
    for one in table:
        peak = one.peak_activation_bytes
        lines.append(
            (
                one.name,
                str(one.resolution_px or "–"),
                count(one.params),
                count(one.macs),
                "–" if peak is None else f"{units.count(peak)}B",
                units.milliseconds(one.predicted),
                units.milliseconds(one.measured),
                units.percent(one.accuracy),
            )
        )
    return units.aligned(lines)


def runs(
    folder: Annotated[Path, typer.Argument(help="Where runs lie.")] = Path("runs"),
    json: JsonOption = False,
) -> None:
    """List the runs in a folder and the folders in it: state, best network, age."""
    from bneck.files import check_folder
    from bneck.results.units import aligned, duration

    check_folder(folder)
    from bneck.derivation.run_list import list_runs  # all that reads runs: after the mistake

    found = list_runs(folder)
    if json:
        print_json({"runs": [{**asdict(one), "folder": str(one.folder)} for one in found]})
        return
    lines: list[tuple[Any, ...]] = [("run", "state", "best", "age", "last change", "made by")]
    for one in found:
        age, idle = (
            "–" if seconds is None else duration(seconds) for seconds in (one.age_s, one.idle_s)
        )
        lines.append((str(one.folder), one.state, one.best or one.problem, age, idle, one.version))
    print(aligned(lines))
