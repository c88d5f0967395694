"""Expected improvement: how much one more evaluation may gain, by the surrogate."""

from collections.abc import Sequence
from math import erf, exp, pi, sqrt
from random import Random

import numpy as np

from bneck.proxies.surrogate.surrogate import Surrogate
from bneck.results.record import Record
from bneck.search.objectives import Objective
from bneck.search.samplers.history import LabelledNetwork
from bneck.search.samplers.online_surrogate import START
from bneck.space.architecture import Architecture
from bneck.space.choices import Space, Values

PARENTS, NEAR, RANDOM = 5, 30, 100
"""Best networks, neighbours of each, and random networks that are looked at."""


def expected_gain(
    labels: Sequence[LabelledNetwork], space: Space, objective: Objective, *, seed: int = 0
) -> float | None:
    """Points of accuracy (0 to 1), at the best network's latency, that one more label may gain.

    The largest expected improvement (Jones et al. 1998, equation 15) among the new networks of the
    objective's band that are neighbours of the five best, or random. The best so far counts with
    the surrogate's accuracy, so a lucky label is not a gain. None with fewer than 8 labels.

    Args:
        labels: networks that were evaluated.
        space: whose networks could be evaluated next.
        objective: the reward and the allowed latencies.
        seed: decides which neighbours and random networks are looked at.
    """
    if len(labels) < START:
        return None
    known = {label.arch for label in labels}
    surrogate = Surrogate([label.arch for label in labels], [label.accuracy for label in labels])
    expected, _ = surrogate.predict([label.arch for label in labels], noise=False)
    held = [
        (objective.reward(float(accuracy), label.latency_ms), float(accuracy), label)
        for accuracy, label in zip(expected, labels, strict=True)
        if objective.allows(label.arch)
    ]
    if not held:
        return None
    held.sort(key=lambda each: -each[0])
    best, accuracy, top = held[0]
    nearby = _candidates(space, [label.values for *_, label in held[:PARENTS]], seed)
    fresh = [arch for arch in nearby if arch not in known and objective.allows(arch)]
    if not fresh:
        return 0.0
    means, stds = surrogate.predict(fresh, noise=False)
    gains = []
    for arch, mean, std in zip(fresh, means, stds, strict=True):
        latency_ms = objective.latency_ms(arch)
        middle = objective.reward(float(mean), latency_ms)
        above = middle + float(std) * _slope(objective, float(mean), latency_ms)
        gains.append(improvement(middle, above, best))
    slope = _slope(objective, accuracy, top.latency_ms)
    return max(gains) / slope if slope > 0 else 0.0


def _slope(objective: Objective, accuracy: float, latency_ms: float) -> float:
    """Reward for a share of accuracy, found below this one: an own reward may end at 1.

    All rewards of ours are straight lines in accuracy.

    Args:
        objective: has the reward.
        accuracy: from 0 to 1.
        latency_ms: of the network.
    """
    half = accuracy / 2
    return (objective.reward(accuracy, latency_ms) - objective.reward(half, latency_ms)) / half


def describe_gain(gain: float | None, records: Sequence[Record]) -> str:
    """Sentence that sets the expected gain beside the seconds that an evaluation takes.

    Longer trainings of promoted networks do not count: one more network has a short one first.
    """
    if gain is None:
        return f"too few labels to say what one more is worth (at least {START})"
    seconds = float(np.median([record.seconds for record in records if record.rung == 0]))
    points = f"{100 * gain:.2f} points of accuracy"
    return f"one more network is expected to gain {points}, for about {seconds:.0f} s"


def improvement(mean: float, above: float, best: float) -> float:
    """The expected value of max(0, x - best), for a normally distributed x.

    Args:
        mean: of x.
        above: one standard deviation above the mean; not above it means that x is certain.
        best: what x is to exceed.
    """
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
