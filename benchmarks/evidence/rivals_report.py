"""The table and the picture of rivals.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from math import hypot
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bneck.quantities import Latency, standard_error
from bneck.results.static_figures import BLUE
from bneck.units import milliseconds

SLOWER = 1.05
"""A derived network is compared with all rivals up to so many times its latency."""
COLOURS = (
    "#b5482a", "#6b7f2a", "#8a5aa8", "#c98a1b", "#3b8f6f", "#a03d6b", "#4a6fa5", "#7a5c3e",
    "#d0677f", "#2f2f2f", "#8d979d", "#9b8f00",
)  # fmt: skip
MARKERS = "osv^DPXp<>h8"


@dataclass(frozen=True)
class Judged:
    """A network: its latency, and the accuracy (0 to 1) of each of its trainings."""

    name: str
    family: str
    measured: Latency
    accuracies: list[float]

    @property
    def percent(self) -> float:
        return 100 * fmean(self.accuracies)

    @property
    def stderr(self) -> float:
        """Standard error of the mean in points; 0 from one training alone."""
        return 100 * (standard_error(self.accuracies) or 0.0)

    def accuracy(self) -> str:
        """As tables say it."""
        spread = f" ± {self.stderr:.1f}" if len(self.accuracies) > 1 else ""
        return f"{self.percent:.1f}{spread} %"


def table(networks: Sequence[Judged]) -> str:
    """Each derived network against the best rival that is at most 5 % slower; then all networks."""
    known = [one for one in networks if one.accuracies]
    derived = [one for one in known if one.family == "derived"]
    lines = [
        "| derived | latency | accuracy | best rival | latency | accuracy | difference, points |",
        "|" + "---|" * 7,
    ]
    for one in sorted(derived, key=lambda one: one.measured.ms):
        rivals = [
            other
            for other in known
            if other.family != "derived" and other.measured.ms <= SLOWER * one.measured.ms
        ]
        ours = f"{one.name} | {milliseconds(one.measured)} ms | {one.accuracy()}"
        if not rivals:
            lines.append(f"| {ours} | none as fast | | | |")
            continue
        best = max(rivals, key=lambda other: other.percent)
        difference = f"{one.percent - best.percent:+.1f}"
        if min(len(one.accuracies), len(best.accuracies)) > 1:
            difference += f" ± {hypot(one.stderr, best.stderr):.1f}"
        lines.append(
            f"| {ours} | {best.name} | {milliseconds(best.measured)} ms | {best.accuracy()} "
            f"| {difference} |"
        )
    lines += ["", "| network | latency | accuracy | seeds |", "|---|---|---|---|"]
    for one in sorted(known, key=lambda one: one.measured.ms):
        lines.append(
            f"| {one.name} | {milliseconds(one.measured)} ms | {one.accuracy()} "
            f"| {len(one.accuracies)} |"
        )
    note = "± is the standard error of the mean over the seeds; of a latency, of its measurement."
    return "\n".join([*lines, "", note]) + "\n"


def drawn(networks: Sequence[Judged]) -> Figure:
    """Accuracy over latency: a line for each family, named at its end; the front behind them."""
    known = sorted((one for one in networks if one.accuracies), key=lambda one: one.measured.ms)
    figure = Figure(figsize=(9, 5.6))
    axes = figure.subplots()
    front = [
        one
        for place, one in enumerate(known)
        if all(one.percent > other.percent for other in known[:place])
    ]
    axes.step(
        [one.measured.ms for one in front],
        [one.percent for one in front],
        where="post",
        color="#d9dee1",
        linewidth=6,
        zorder=0,
    )
    ends: list[tuple[str, str, Judged]] = []
    styles = cycle(zip(cycle(COLOURS), MARKERS, strict=False))
    families = sorted({one.family for one in known}, key=lambda name: (name != "derived", name))
    for family in families:
        own = [one for one in known if one.family == family]
        ours = family == "derived"
        colour, marker = (BLUE, "*") if ours else next(styles)
        axes.errorbar(
            [one.measured.ms for one in own],
            [one.percent for one in own],
            xerr=[one.measured.std_ms or 0.0 for one in own],
            yerr=[one.stderr for one in own],
            fmt=f"{marker}-",
            markersize=12 if ours else 5,
            linewidth=2 if ours else 0.9,
            color=colour,
            capsize=2,
            zorder=3 if ours else 2,
        )
        for one in own if ours else ():
            axes.annotate(
                one.name.removeprefix("derived-"),
                (one.measured.ms, one.percent),
                xytext=(-6, 8),
                textcoords="offset points",
                ha="right",
                fontsize=8,
                color=colour,
            )
        ends.append((family, colour, own[-1]))
    _names(axes, ends)
    axes.set_xlabel("measured latency (ms; one image, one thread)")
    axes.set_ylabel("accuracy (%; mean of the seeds, standard error)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure


def _names(axes: Axes, ends: Sequence[tuple[str, str, Judged]]) -> None:
    """Family names at the right, in the order of the lines' ends, none over another."""
    low, high = axes.get_ylim()
    right = axes.get_xlim()[1]
    gap = (high - low) / 24
    y = low - gap
    for name, colour, last in sorted(ends, key=lambda end: end[2].percent):
        y = max(y + gap, last.percent)
        axes.annotate(
            name,
            (last.measured.ms, last.percent),
            xytext=(right + (right - axes.get_xlim()[0]) * 0.03, y),
            fontsize=8,
            color=colour,
            va="center",
            weight="bold" if name == "derived" else "normal",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.4,
                "alpha": 0.6,
                "relpos": (0, 0.5),
            },
        )
    axes.set_ylim(low, high)
    axes.set_xlim(axes.get_xlim()[0], right)
