"""The w that makes the soft reward aim at a target: the front's slope there.

TAR cancels out of ``ACC * (LAT/TAR)^w``. The reward is largest where the front of accuracy over
latency has d ln ACC / d ln LAT = -w, so a target is aimed at by giving w that slope. The front is
the one that the labels' regression and the latency model predict for the whole space; of it counts
the upper hull in logarithms, because no w leads to what lies below that. A search knows networks on
one side of its target only, so the regression rests on a trend of accuracy with latency, found from
the labels under a prior around the papers' two weights.
"""

import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import exp, log

from bneck.proxies.surrogate.surrogate import EDGE
from bneck.search.reward import PAPERS, Soft
from bneck.search.samplers.history import LabelledNetwork, decoded
from bneck.search.samplers.latency_trend import latency_trend
from bneck.search.samplers.online_surrogate import START, OnlineSurrogate, step
from bneck.space.architecture import Architecture
from bneck.space.choices import Space, Values

STEEPEST, FLATTEST = -2.0, -0.005
"""A front that rises no more still prefers the faster of two networks."""

REACH, WINDOW = 2.0, 1.25
"""The front is grown within the first factor of the target; the slope is that across the second."""

PARENTS, RANDOM, GROWN, ROUNDS = 20, 60, 60, 5
"""Labelled networks nearest to the target and random ones that the front begins with, then networks
grown from it in each round."""

Point = tuple[float, float]
"""(ln ms, ln accuracy)"""


@dataclass(frozen=True, slots=True)
class DerivedWeight:
    """The curve of equal reward that touches the front at the target.

    Attributes:
        weight: the reward's w.
        accuracy: the front's at the target, from 0 to 1; None where no label has told yet.
    """

    target_ms: float
    weight: float
    accuracy: float | None = None

    @property
    def reward(self) -> Soft:
        """The soft reward that aims at the target."""
        return Soft(self.target_ms, self.weight)


def weight_from_target(
    space: Space,
    latency_ms: Callable[[Architecture], float],
    target_ms: float,
    labels: Sequence[LabelledNetwork],
    *,
    seed: int,
) -> DerivedWeight:
    """Where and how steeply the front of ``space`` passes the target, by these labels.

    It is found again when the labels have grown by 15 %, from those of that moment, so it
    depends on their order and the seed alone. Under eight labels w is MobileNetV3-Large's.

    Args:
        space: whose front it is.
        latency_ms: predicts a network's latency.
        target_ms: the latency aimed at.
        labels: networks that were evaluated, in the order in which they ended.
        seed: decides which networks the front is sought among.
    """
    if len(labels) < START:
        return DerivedWeight(target_ms, PAPERS["MobileNetV3-Large"])
    labels = labels[: step(len(labels))]
    points = _front(space, latency_ms, target_ms, labels, random.Random(seed))
    middle, half = log(target_ms), log(WINDOW)
    rise = _height(points, middle + half) - _height(points, middle - half)
    weight = min(FLATTEST, max(STEEPEST, -rise / (2 * half)))
    return DerivedWeight(target_ms, weight, min(1.0, exp(_height(points, middle))))


def hull(points: Iterable[Point]) -> list[Point]:
    """The points that some straight line of a slope of 0 or more leaves all others below."""
    upper: list[Point] = []
    for x, y in sorted(points):
        if upper and y <= upper[-1][1]:
            continue
        while upper and (
            upper[-1][0] == x or (len(upper) > 1 and _bends_up(upper[-2], upper[-1], (x, y)))
        ):
            upper.pop()
        upper.append((x, y))
    return upper


def _bends_up(a: Point, b: Point, c: Point) -> bool:
    return (b[1] - a[1]) * (c[0] - b[0]) <= (c[1] - b[1]) * (b[0] - a[0])


def _height(points: list[Point], x: float) -> float:
    """The hull's height: level after its last point, its first slope before its first."""
    if x >= points[-1][0] or len(points) == 1:
        return points[-1][1]
    place = min(max(1, bisect_left(points, (x, 0.0))), len(points) - 1)
    (x0, y0), (x1, y1) = points[place - 1], points[place]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def _front(
    space: Space,
    latency_ms: Callable[[Architecture], float],
    target_ms: float,
    labels: Sequence[LabelledNetwork],
    draw: random.Random,
) -> list[Point]:
    """The hull of what is predicted near the target, grown from labelled and random networks."""
    papers = Soft(target_ms)
    model = OnlineSurrogate(
        labels,
        lambda label: papers(label.accuracy, label.latency_ms),
        trend=latency_trend(latency_ms, labels),
    )
    near = sorted(labels, key=lambda label: abs(log(label.latency_ms / target_ms)))
    proposed = [label.values for label in near[:PARENTS]]
    proposed += [space.sample(draw.getrandbits(32)) for _ in range(RANDOM)]
    known: dict[Architecture, tuple[Point, Values]] = {}
    for _ in range(ROUNDS):
        named = {decoded(space, values): values for values in proposed}
        new = [
            arch
            for arch in named
            if arch not in known and target_ms / REACH <= latency_ms(arch) <= target_ms * REACH
        ]
        for arch, accuracy in zip(new, model.accuracies(new), strict=True):
            known[arch] = (log(latency_ms(arch)), log(accuracy)), named[arch]
        top = dict(known.values())
        parents = [top[point] for point in hull(top)] or proposed
        proposed = [space.mutate(draw.choice(parents), draw.getrandbits(32)) for _ in range(GROWN)]
    if not known:  # no network is so near: the labels' own front
        return hull((log(label.latency_ms), log(max(EDGE, label.accuracy))) for label in labels)
    return hull(point for point, _ in known.values())
