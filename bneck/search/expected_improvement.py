"""Whether one more label is worth buying: what the surrogate expects of the best network left."""

from collections.abc import Sequence
from math import erf, exp, pi, sqrt
from random import Random

import numpy as np

from bneck.proxies.surrogate.surrogate import Surrogate
from bneck.results.record import Record
from bneck.search.samplers import Goal
from bneck.search.samplers.history import Label
from bneck.space.architecture import Architecture
from bneck.space.choices import Space, Values

START = 8
"""Fewer labels teach a surrogate too little to say."""

PARENTS, NEAR, RANDOM = 5, 30, 100


def expected_gain(
    labels: Sequence[Label], space: Space, goal: Goal, *, seed: int = 0
) -> float | None:
    """Points of accuracy (0 to 1), at the best network's latency, that one more label may gain.

    The largest expected improvement (Jones et al. 1998, equation 15) among the new networks of the
    goal's band that are neighbours of the five best, or random. The best so far counts as what the
    surrogate holds it to be, so a lucky label is no gain. None with fewer than 8 labels.
    """
    if len(labels) < START:
        return None
    known = {label.arch for label in labels}
    surrogate = Surrogate([label.arch for label in labels], [label.accuracy for label in labels])
    expected, _ = surrogate.predict([label.arch for label in labels], noise=False)
    held = [
        (goal.reward(float(accuracy), label.latency_ms), float(accuracy), label.values)
        for accuracy, label in zip(expected, labels, strict=True)
        if goal.allows(label.arch)
    ]
    if not held:
        return None
    held.sort(key=lambda each: -each[0])
    best, accuracy, _ = held[0]
    nearby = _candidates(space, [values for *_, values in held[:PARENTS]], seed)
    fresh = [arch for arch in nearby if arch not in known and goal.allows(arch)]
    if not fresh:
        return 0.0
    means, stds = surrogate.predict(fresh, noise=False)
    gains = []
    for arch, mean, std in zip(fresh, means, stds, strict=True):
        latency_ms = goal.latency_ms(arch)
        middle = goal.reward(float(mean), latency_ms)
        gains.append(improvement(middle, goal.reward(float(mean + std), latency_ms), best))
    return max(gains) / best * accuracy


def sentence(gain: float | None, records: Sequence[Record]) -> str:
    """The gain beside what a label costs, for the user to weigh."""
    if gain is None:
        return f"too few labels to say what one more is worth (at least {START})"
    seconds = float(np.median([record.seconds for record in records]))
    points = f"{100 * gain:.2f} points of accuracy"
    return f"one more network is expected to gain {points}, for about {seconds:.0f} s"


def improvement(mean: float, above: float, best: float) -> float:
    """E max(0, x - best), x normal around ``mean`` with ``above`` one deviation up."""
    std = above - mean
    if std <= 0:
        return max(0.0, mean - best)
    z = (mean - best) / std
    return std * (z * (1 + erf(z / sqrt(2))) / 2 + exp(-z * z / 2) / sqrt(2 * pi))


def _candidates(space: Space, parents: list[Values], seed: int) -> list[Architecture]:
    draw = Random(seed)
    near = [space.mutate(each, draw.getrandbits(32)) for each in parents for _ in range(NEAR)]
    far = [space.sample(draw.getrandbits(32)) for _ in range(RANDOM)]
    return list(dict.fromkeys(space.decode(values) for values in [*near, *far]))
