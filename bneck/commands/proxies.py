"""The command ``proxies score``: cheap accuracy signals."""

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bneck.commands.common.command import Command
from bneck.commands.common.latency_options import (
    SpaceClassesOption,
    SpaceResolutionOption,
    sizes_of,
)
from bneck.commands.common.options import (
    JsonOption,
    SeedOption,
    check_left_out,
    described,
    own_spaces,
)
from bneck.commands.common.output import print_result
from bneck.derivation.option import OWN
from bneck.derivation.plan import SHORT_TRAINING
from bneck.errors import UsageError
from bneck.files import write_whole
from bneck.live import TerminalProgress, warn
from bneck.machine import Compute, cores
from bneck.path_checks import check_new_file
from bneck.proxies.data.image_spec import NAMED_SETS, check_images
from bneck.proxies.proxy import PROXIES, check_proxy, content_of, find_proxy, shared_weights_run
from bneck.space import spaces
from bneck.text import one_of

if TYPE_CHECKING:
    from bneck.progress import Progress
    from bneck.proxies.data.image_info import ImageInfo
    from bneck.proxies.data.image_source import ImageSource
    from bneck.proxies.score import Agreement
    from bneck.proxies.score_surrogate import SurrogateAgreement
    from bneck.proxies.surrogate.table import Table
    from bneck.space.architecture import Architecture

IMAGES, STEPS = "digits", 468
"""What proxies are judged on, and how long they train, unless the options say otherwise."""


def score(
    table: Annotated[Path, typer.Option(help="Networks and their accuracies: CSV or JSON lines.")],
    images: Annotated[
        str, typer.Option(help=f"Images: {one_of(*NAMED_SETS, 'folder:DIR', 'npz:FILE')}.")
    ] = IMAGES,
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Score only what needs none.")
    ] = False,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Proxies to judge: {one_of(*PROXIES, 'shared-weights:RUN', OWN)}.",
            show_default="all zero-cost",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Training steps, for short-training.", min=1)] = STEPS,
    networks: Annotated[
        int, typer.Option(help="Networks to build for the proxies, at most.", min=5)
    ] = 200,
    model: Annotated[
        Path | None,
        typer.Option(help="Latency model: bands of predicted latency, not of multiply-adds."),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            help=f"What a CSV's columns are choices of: {one_of(*spaces.SPACES, OWN)}.",
            show_default="none",
            callback=own_spaces,
        ),
    ] = None,
    resolution: SpaceResolutionOption = None,
    classes: SpaceClassesOption = None,
    plot: Annotated[Path | None, typer.Option(help="Also write pictures (HTML).")] = None,
    device: Annotated[str, described("device")] = "cpu",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Judge proxies by how they rank a table's networks.

    Its other columns and a surrogate are judged too.

    In band is among networks of similar cost, which is what a search under a latency target sees.
    Column by column it says how well a shorter training agrees with the longest.
    """
    if plot is not None:
        check_new_file(plot)
    if space is None:
        check_left_out(
            "without --space", resolution=resolution is not None, classes=classes is not None
        )
    if no_images:
        check_left_out("with --no-images", images=images != IMAGES)
    if not any(word == SHORT_TRAINING or ":" in word for word in proxy or ()):
        check_left_out(f"without --proxy {SHORT_TRAINING}", steps=steps != STEPS)
    compute = Compute(device, cores())  # a fixed number of threads: the same scores every time
    truth = _table(table, space, resolution, classes)
    for word in proxy or ():
        check_proxy(word)
    if not no_images:
        check_images(images)
    from bneck.proxies import score as scoring  # torch: after the mistakes
    from bneck.proxies import score_page
    from bneck.proxies.score_cache import ScoreCache
    from bneck.proxies.score_surrogate import score_surrogate
    from bneck.proxies.score_text import as_text
    from bneck.proxies.training.recipe import Recipe

    progress = TerminalProgress()
    band = scoring.macs if model is None else _latency(model, truth.accuracies, table, space)
    band_name = "macs" if model is None else "latency_ms"
    pictures = None if no_images else _pictures(images, proxy or (), seed, progress)
    words = proxy or scoring.zero_cost_words(images=pictures is not None)
    made = {word: find_proxy(word)(pictures, Recipe(steps), compute=compute) for word in words}
    seen = None if pictures is None else pictures.info.fingerprint
    content = [content_of(word) for word in words]
    made_with = (words, content, seen, seed, steps, compute)
    with ScoreCache(made_with) as cache:  # after Ctrl-C the same command scores none again
        agreements = scoring.score_proxies(
            truth,
            made,
            images=pictures,
            band=band,
            networks=networks,
            seed=seed,
            progress=progress,
            cache=cache,
        )
        columns = scoring.score_columns(truth, band=band, seed=seed)
        learnt = score_surrogate(truth, band=band, seed=seed, progress=progress)
    agreements |= {f"column:{name}": agreement for name, agreement in columns.items()}
    if plot is not None:
        write_whole(plot, score_page.page(truth, agreements, band=band, band_name=band_name))
    text = as_text(truth, band_name, agreements, learnt)
    text += f"\npictures {plot}" if plot else ""
    print_result(json, _as_json(truth, band_name, agreements, learnt), text)


def _table(path: Path, space: str | None, resolution: int | None, classes: int | None) -> "Table":
    """The table; what it warns of is one line each on stderr.

    Raises:
        UsageError: it cannot be read, or is of another space, side or number of classes.
    """
    from bneck.proxies.surrogate.table import load

    size = sizes_of(resolution, classes)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asked = spaces.build(space, **size) if space else None
        table = load(path, asked)
    for warning in caught:
        warn(str(warning.message))
    if asked and table.space and table.space.name != asked.name:  # published ones bring their own
        raise UsageError(f"{path} holds networks of {table.space.name}, not of {asked.name}")
    for arch in table.accuracies:
        if resolution not in (None, arch.resolution_px):
            raise UsageError(f"{path} holds networks for {arch.resolution_px} px, not {resolution}")
        if classes not in (None, arch.classes):
            raise UsageError(f"{path} holds networks of {arch.classes} classes, not {classes}")
    return table


def _latency(
    path: Path, archs: "Iterable[Architecture]", table: Path, space: str | None
) -> "Callable[[Architecture], float]":
    """Milliseconds of networks by a model that was calibrated on the device.

    All at once, so that what the model does not know is said before minutes of scoring.

    Args:
        path: the model's file.
        archs: the networks.
        table: where they are from; but for a CSV of choices, it says their side.
        space: what the columns of such a CSV are choices of.

    Raises:
        UsageError: another side, or what was never timed.
    """
    from bneck.latency.model import load
    from bneck.proxies.surrogate.table_rows import is_json_lines

    model = load(path)
    others_px = [px for arch in archs if (px := arch.resolution_px) != model.resolution_px]
    if others_px and (space is None or is_json_lines(table)):
        raise UsageError(
            f"this latency model was calibrated at {model.resolution_px} px, not at "
            f"{others_px[0]} px, as networks of {table} are: give a model of that side"
        )
    return {arch: model.predict(arch).ms for arch in archs}.__getitem__


def _pictures(
    spec: str, proxies: Collection[str], seed: int, progress: "Progress"
) -> "ImageSource":
    """Images that choose between networks: no final validation image among them.

    Args:
        spec: names them.
        proxies: words of those that they are for; shared weights know their own classes alone.
        seed: decides the split.
        progress: told how far decoding is.
    """
    from bneck.proxies.data import loading
    from bneck.proxies.shared_weights import check_classes

    def accept(info: "ImageInfo") -> None:
        for run in filter(None, map(shared_weights_run, proxies)):
            check_classes(run, info)

    return loading.load(spec, seed=seed, progress=progress, accept=accept).for_search(seed)


def _as_json(
    truth: "Table",
    band_name: str,
    agreements: Mapping[str, "Agreement"],
    learnt: Mapping[int, "SurrogateAgreement | None"],
) -> dict[str, Any]:
    return {
        "table": truth.name,
        "networks": len(truth.accuracies),
        "band": band_name,
        "proxies": {word: _numbers(agreement) for word, agreement in agreements.items()},
        "surrogate": {str(labels): what and asdict(what) for labels, what in learnt.items()},
        "intervals": {word: _intervals(agreement) for word, agreement in agreements.items()},
    }


def _numbers(agreement: "Agreement") -> dict[str, Any]:
    return {
        "spearman": agreement.spearman.value,
        "kendall": agreement.kendall,
        "in_band": agreement.in_band.value,
        "seconds_per_network": agreement.seconds,
    }


def _intervals(agreement: "Agreement") -> dict[str, Any]:
    return {
        "networks": len(agreement.scores),
        "failed": len(agreement.failures),
        "spearman": [agreement.spearman.low, agreement.spearman.high],
        "in_band": [agreement.in_band.low, agreement.in_band.high],
    }


group = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Judge proxies for accuracy.")
group.command(cls=Command)(score)
