"""How accuracy rises with latency before labels tell, and how far labels change that."""

from collections.abc import Callable
from math import exp, log

import numpy as np
import pytest
from scipy.stats import linregress

from bneck.proxies.surrogate.surrogate import expit, logit
from bneck.search.samplers.history import LabelledNetwork
from bneck.search.samplers.latency_trend import latency_trend, prior_trend
from bneck.space.architecture import Architecture
from bneck.space.choices import Space


def at(ms: float) -> Callable[[Architecture], float]:
    """A device on which each network takes so long."""
    return lambda arch: ms


def test_the_prior_lies_between_the_papers_two_exponents(space: Space) -> None:
    """Of networks that are right on 70 %: d ln ACC / d ln LAT is between 0.07 and 0.15."""
    arch = space.decode(space.sample(0))
    odds = logit(np.array(0.7)) + np.array([prior_trend(at(ms))(arch) for ms in (1.0, 1.001)])
    before, after = expit(odds)
    assert log(after / before) / log(1.001) == pytest.approx(0.11, rel=1e-3)


@pytest.mark.parametrize("scatter", [0.01, 0.3, 3.0])
def test_labels_change_the_prior_as_far_as_their_line_is_sure(space: Space, scatter: float) -> None:
    """The mean of two normal estimates, weighted by their precisions (Bishop 2006, equation 3.50).

    The prior's are those of d ln ACC / d ln LAT: 0.11, give or take 0.2.
    """
    arch = space.decode(space.sample(0))
    x = np.array([-1.0, -0.4, 0.0, 0.3, 0.9])
    y = 0.5 + 0.8 * x + scatter * np.array([0.5, -1.0, 0.2, 0.9, -0.7])
    labels = [
        LabelledNetwork({}, arch, float(accuracy), exp(slower))
        for accuracy, slower in zip(expit(y), x, strict=True)
    ]
    line = linregress(x, y)
    wrong = 1 - expit(y.mean())
    sure, before = 1 / line.stderr**2, (wrong / 0.2) ** 2
    expected = (line.slope * sure + 0.11 / wrong * before) / (sure + before)

    assert latency_trend(at(exp(1)), labels)(arch) == pytest.approx(expected)
