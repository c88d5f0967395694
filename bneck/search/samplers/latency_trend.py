"""How accuracy rises with latency in a space: a straight line that is known before any label."""

from collections.abc import Callable, Sequence
from math import log

import numpy as np

from bneck.proxies.surrogate.surrogate import expit
from bneck.search.samplers.history import LabelledNetwork
from bneck.search.samplers.online_surrogate import logits_of
from bneck.space.architecture import Architecture

PRIOR_SLOPE, PRIOR_STD = 0.11, 0.2
"""d ln ACC / d ln LAT before any label: between the papers' 0.07 and 0.15, give or take."""

PRIOR_ERROR = 0.3
"""Share of images that the papers' networks classify wrong, which turns the slope into log odds."""


def prior_trend(latency_ms: Callable[[Architecture], float]) -> Callable[[Architecture], float]:
    """Return the log odds of accuracy that a network's latency brings by the papers' slope."""
    return lambda arch: PRIOR_SLOPE / PRIOR_ERROR * log(latency_ms(arch))


def latency_trend(
    latency_ms: Callable[[Architecture], float], labels: Sequence[LabelledNetwork]
) -> Callable[[Architecture], float]:
    """Return the log odds of accuracy that a network's latency brings.

    They are a line in the logarithm of latency, whose slope is found from the labels under a
    normal prior around the papers'.

    Args:
        latency_ms: predicts a network's latency.
        labels: networks that were evaluated, at least three.
    """
    x = np.log([label.latency_ms for label in labels])
    y = logits_of(labels)
    error = 1 - float(expit(y.mean()))
    x, y = x - x.mean(), y - y.mean()
    prior, width = PRIOR_SLOPE / error, PRIOR_STD / error
    squares = max(float(x @ x), 1e-9)
    line = float(x @ y) / squares
    noise = max(float(((y - line * x) ** 2).sum()) / (len(x) - 2), 1e-9)
    certainty = squares / noise + 1 / width**2
    slope = (line * squares / noise + prior / width**2) / certainty
    return lambda arch: slope * log(latency_ms(arch))
