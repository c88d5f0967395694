"""Pictures for papers and model cards, as PNG or SVG; reports have ``interactive_figures``."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bneck.errors import UsageError
from bneck.files import write_with
from bneck.quantities import Accuracy, Latency, standard_deviation
from bneck.results.pareto import front
from bneck.results.record import Baseline, Outcome, Record, Step
from bneck.results.similarity import Similarity

SUFFIXES = (".png", ".svg", ".pdf")
BLUE, ORANGE, GREY = "#0f6a87", "#b5482a", "#8d979d"


def check_name(path: Path) -> None:
    """Raise UsageError unless the path ends as a picture does."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"a picture ends in {', '.join(SUFFIXES)}, not in {path.suffix!r}")


def save(figure: Figure, path: Path) -> None:
    """Write a picture in the format that the path's ending names.

    Raises:
        UsageError: another ending.
    """
    check_name(path)
    kind = path.suffix.lower()
    undated = {"Date": None} if kind == ".svg" else {}
    write_with(
        path,
        lambda file: figure.savefig(
            file, format=kind[1:], dpi=200, bbox_inches="tight", metadata=undated
        ),
    )


def compared(
    names: Sequence[str], latencies: Sequence[Latency | None], accuracies: Sequence[Accuracy | None]
) -> Figure:
    """Bars of latency, and accuracies beside them where any is known, each with its spread.

    Args:
        names: of the networks, from top to bottom.
        latencies: one a network; None leaves out the bar.
        accuracies: one a network; None leaves out the point.
    """
    known = any(accuracies)
    figure = Figure(figsize=(7.5 if known else 5.5, 0.9 + 0.42 * len(names)))
    axes = figure.subplots(1, 2 if known else 1, sharey=True, squeeze=False)[0]
    for place, latency in enumerate(latencies):
        if latency is not None:
            axes[0].barh(place, latency.ms, 0.6, xerr=latency.std_ms, color=BLUE, ecolor="black")
    for place, one in enumerate(accuracies):
        if one is not None:
            percent, spread = 100 * one.value, 100 * (one.stderr or 0)
            axes[1].errorbar(percent, place, xerr=spread, fmt="o", color=ORANGE, capsize=3)
    axes[0].set_yticks(range(len(names)), [_as_it_is(name) for name in names])
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    axes[0].set_xlabel("latency (ms)")
    if known:
        axes[1].set_xlabel("accuracy (%)")
    return _plain(figure)


def outcome(
    derived: Outcome, baselines: Iterable[Baseline], others: Collection[Outcome] = ()
) -> Figure:
    """Accuracy over measured latency of networks trained and measured alike.

    Args:
        derived: the derived network.
        baselines: networks to compare it with, each with a marker of its own.
        others: those derived for other targets of the same search.
    """
    figure, axes = _single("measured latency (ms)", "accuracy (%)")
    markers = cycle("sD^ov")
    networks: list[tuple[str, Outcome | Baseline, str, str, str]] = [
        (baseline.name, baseline, next(markers), GREY, GREY) for baseline in baselines
    ]
    for one in others:
        networks.append((f"derived for {one.target_ms:.4g} ms", one, "*", BLUE, "white"))
    networks.append(("derived", derived, "*", BLUE, BLUE))
    for name, network, marker, colour, inside in networks:
        if network.measured is not None and network.accuracy is not None:
            axes.errorbar(
                network.measured.ms,
                100 * network.accuracy.value,
                xerr=network.measured.std_ms,
                yerr=100 * (network.accuracy.stderr or 0),
                fmt=marker,
                markersize=11 if marker == "*" else 7,
                markerfacecolor=inside,
                color=colour,
                capsize=3,
                label=_as_it_is(name),
            )
    _targets(axes, [one.target_ms for one in (derived, *others)])
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))  # beside it: over no point
    return _plain(figure)


def family(lines: Mapping[str, Sequence[tuple[float, Sequence[float]]]]) -> Figure:
    """Accuracy over measured latency, a line a family of networks.

    A network is its ms and the accuracies of its trainings: their mean, and their standard
    deviation where there are several.
    """
    figure, axes = _single("measured latency (ms)", "accuracy (%)")
    styles = cycle(((BLUE, "*"), (GREY, "s"), (ORANGE, "v")))
    for (name, networks), (colour, marker) in zip(lines.items(), styles, strict=False):
        known = sorted((ms, accuracies) for ms, accuracies in networks if accuracies)
        axes.errorbar(
            [ms for ms, _ in known],
            [100 * fmean(accuracies) for _, accuracies in known],
            yerr=[100 * (standard_deviation(a) or 0) for _, a in known],
            fmt=f"{marker}-",
            markersize=11 if marker == "*" else 6,
            color=colour,
            capsize=3,
            label=name,
        )
    axes.legend(frameon=False)
    return _plain(figure)


def search(records: Sequence[Record], *, targets_ms: Sequence[float] = ()) -> Figure:
    """Proxy accuracy over predicted latency of every network tried, with the Pareto front."""
    figure, axes = _single("predicted latency (ms)", "proxy accuracy (%)")
    scored = [(r.latency_ms, 100 * r.accuracy) for r in records if r.accuracy is not None]
    _dots(axes, scored, "networks")
    best = [(r.latency_ms, 100 * (r.accuracy or 0)) for r in front(records)]
    axes.step(*zip(*best, strict=True), where="post", marker="o", color=BLUE, label="Pareto front")
    _targets(axes, targets_ms)
    axes.legend(frameon=False)
    return _plain(figure)


def path(steps: Sequence[Step], *, targets_ms: Sequence[float] = ()) -> Figure:
    """NetAdapt's way to the target: every proposal, and the line through those taken."""
    figure, axes = _single("predicted latency (ms)", "accuracy after fine-tuning (%)")
    tried = [
        (proposal.latency_ms, 100 * proposal.accuracy.value)
        for step in steps
        for proposal in step.proposals
        if proposal.accuracy is not None
    ]
    if tried:
        _dots(axes, tried, "proposals")
    taken = [
        (step.latency_ms, 100 * step.accuracy.value) for step in steps if step.accuracy is not None
    ]
    axes.plot(*zip(*taken, strict=True), marker="o", color=BLUE, label="taken")
    _targets(axes, targets_ms)
    axes.legend(frameon=False)
    return _plain(figure)


def blocks(spent: Mapping[str, float]) -> Figure:
    """Predicted ms of each block, in the order they run."""
    figure = Figure(figsize=(5.5, 0.8 + 0.22 * len(spent)))
    axes = figure.subplots()
    axes.barh(list(spent), list(spent.values()), 0.7, color=BLUE)
    axes.invert_yaxis()
    axes.set_xlabel("predicted latency (ms)")
    return _plain(figure)


def similarity(found: Similarity) -> Figure:
    """Each trait's profile over depth, and the distances of all traits together."""
    count, published = len(found.traits), _as_it_is(found.published)
    figure = Figure(figsize=(7, 1.3 * (count + 1)), layout="constrained")
    *rows, last = figure.subplots(count + 1, 1)
    for axes, trait in zip(rows, found.traits, strict=True):
        places = range(len(trait.strides))
        lines = (
            (trait.random_mean, GREY, f"mean of {found.networks} random networks"),
            (trait.published, ORANGE, published),
            (trait.network, BLUE, "network"),
        )
        for values, colour, label in lines:
            axes.plot(places, values, marker="o", markersize=3, color=colour, label=label)
        axes.set_xticks(places, [f"1/{stride}" for stride in trait.strides])
        said = "fixed by the space" if trait.percentile is None else f"{trait.percentile:.0f} %"
        axes.set_title(f"{trait.name}: {said}", loc="left", fontsize=9)
    last.hist(found.random, bins=40, color=GREY)
    last.axvline(found.distance, color=BLUE, linewidth=2)
    last.set_title("distance, all traits", loc="left", fontsize=9)
    figure.suptitle(
        f"nearer to {published} than {found.percentile:.1f} % of {found.networks} random "
        "networks as fast",
        fontsize=10,
    )
    figure.legend(*rows[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return _plain(figure)


def _as_it_is(name: str) -> str:
    """A name in which dollars begin no formula."""
    return name.replace("$", r"\$")


def _single(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.5, 3.6))
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.locator_params(axis="x", nbins=6)  # ms have many digits
    return figure, axes


def _dots(axes: Axes, points: Sequence[tuple[float, float]], label: str) -> None:
    x, y = zip(*points, strict=True)
    axes.scatter(x, y, s=12, color=GREY, alpha=0.6, label=label)


def _targets(axes: Axes, targets_ms: Sequence[float]) -> None:
    for place, ms in enumerate(targets_ms):
        label = None if place else "target"
        axes.axvline(ms, color=ORANGE, linestyle="--", linewidth=1, label=label)


def _plain(figure: Figure) -> Figure:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
    return figure
