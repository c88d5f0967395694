"""The command ``compare``: networks beside each other."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bneck import records, units
from bneck.commands.common.options import ClassesOption, JsonOption, ResolutionOption
from bneck.commands.common.output import print_result
from bneck.errors import UsageError
from bneck.imports import Untrusted
from bneck.live import TerminalProgress
from bneck.path_checks import check_new_file
from bneck.results.differences import Difference, differences
from bneck.text import aligned

if TYPE_CHECKING:
    from bneck.derivation.comparison import Compared
    from bneck.latency.predictor import Predictor


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
    """Compare networks: cost, latency, accuracy, differing blocks.

    Presets take the input resolution and class count of the first network that has its own. ONNX
    files keep theirs, and their free sides become --resolution. Peak memory is that of the
    activations of one image, in float32, where each residual is added in place.
    """
    from bneck.derivation import comparison  # numpy
    from bneck.latency.model import LatencyModel
    from bneck.latency.predictor import open_predictor
    from bneck.latency.warn import warn_foreign

    if plot is not None:
        from bneck.results import static_figures  # matplotlib

        static_figures.check_name(plot)
        check_new_file(plot)  # before the minutes of measuring
    table = comparison.load(networks, resolution_px=resolution, classes=classes)
    file = model or comparison.run_model(networks)
    predictor = open_predictor(str(file)) if file else None
    if predictor is not None:
        table = comparison.predicted(table, predictor)
    if measure:
        _check_importable(predictor)
        table = comparison.measured(table, model=predictor, progress=TerminalProgress())
    elif isinstance(predictor, LatencyModel):
        warn_foreign(predictor)
    if plot is not None:
        _draw(table, plot)
    found = differences([one.arch for one in table if one.arch is not None])
    rows = [records.flat(one) for one in table]
    for row in rows:
        del row["arch"], row["onnx"], row["free_px"]
    result = {"networks": rows, "differences": [asdict(one) for one in found]}
    text = [_as_text(table), *_doubts(table), *_differing(table, found)]
    print_result(json, result, "\n".join([*text, f"picture {plot}"] if plot else text))


def _check_importable(predictor: "Predictor | None") -> None:
    """Raise UsageError for a model of a runtime of someone's own, as no option names it here."""
    from bneck.latency.model import LatencyModel

    runtime = predictor.device.runtime if isinstance(predictor, LatencyModel) else ""
    if isinstance(runtime, Untrusted) and ":" in runtime:
        raise UsageError(
            f"the latency model is of the runtime {runtime!r:.60}, and what files name is not "
            "imported: give --no-measure, or time each network by `bneck latency NET --model FILE "
            f"--measure --runtime {runtime:.60}` if you trust it"
        )


def _draw(table: Sequence["Compared"], file: Path) -> None:
    """Measured ms, or predicted ms where none is measured, and accuracies."""
    from bneck.results import static_figures  # matplotlib

    ms = [one.measured or one.predicted for one in table]
    accuracies = [one.accuracy for one in table]
    static_figures.save(static_figures.compared([one.name for one in table], ms, accuracies), file)


def _doubts(table: Sequence["Compared"]) -> Iterator[str]:
    """What the figures must not be taken for, and why some are missing."""
    unpredicted = ((one.name, one.unpredicted) for one in table if one.unpredicted)
    yield from (f"{name}: not predicted: {why}" for name, why in unpredicted)
    yield from (f"{one.name}: do not trust it: {one.doubt}" for one in table if one.doubt)
    for one in table:
        if one.batch is not None and one.batch > 1:
            yield f"{one.name}: measured with a batch of {one.batch} images"
    for one in table:
        if one.counted:
            on = "on a part of the training images"
            yield f"{one.name}: its accuracy is that {one.counted}, {on}"
    # The digest tells, which stands last: the same folder may have gone by several names.
    counted_on = [
        (one.images or "").rpartition(" ")[2] for one in table if one.accuracy is not None
    ]
    if len(set(counted_on)) > 1:
        yield "the accuracies are of different images, or of images that the file does not name"


def _differing(table: Sequence["Compared"], found: Sequence[Difference]) -> Iterator[str]:
    """The blocks that differ, as a table."""
    if found:
        names = [one.name for one in table if one.arch is not None]
        lines = [("block", "trait", *names), *((d.path, d.trait, *d.values) for d in found)]
        yield f"\nwhere they differ\n{aligned(lines)}"


def _as_text(table: Sequence["Compared"]) -> str:
    def count(value: int | None) -> str:
        return "–" if value is None else units.count(value)

    lines = [("network", "px", "params", "macs", "peak memory", "predicted ms", "measured ms",
              "accuracy")]  # fmt: skip
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
    return aligned(lines)
