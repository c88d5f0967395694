"""Accuracy learnt from a search's labels, cheaply enough to be asked at every proposal."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from heapq import nlargest
from itertools import islice
from math import ceil

import numpy as np
from numpy.typing import NDArray

from bneck.proxies.surrogate import features
from bneck.proxies.surrogate.gaussian_process import GaussianProcess, Relevance, learn
from bneck.proxies.surrogate.surrogate import EDGE, PRIOR, expit, logit
from bneck.search.samplers.history import LabelledNetwork
from bneck.space.architecture import Architecture

Array = NDArray[np.float64]

START = 8
"""Labels that there must be."""

ROWS, LEARN_ROWS = 200, 150
"""Labels that the posterior and its relevances rest on; beyond them, the best and the latest."""

RELEARN = 1.15
"""Relevances are found again whenever the labels have grown by this factor."""


def no_trend(arch: Architecture) -> float:
    """Nothing is known beforehand."""
    return 0.0


class OnlineSurrogate:
    """What the labels so far say about other networks; those in evaluation count as expected.

    ``worth`` says which labels are kept where there are many. ``trend`` is a known part of the log
    odds of accuracy; only what departs from it is learnt.
    """

    def __init__(
        self,
        labels: Sequence[LabelledNetwork],
        worth: Callable[[LabelledNetwork], float],
        pending: Sequence[Architecture] = (),
        trend: Callable[[Architecture], float] = no_trend,
    ) -> None:
        self._trend = trend
        relevance = _relevance(labels, worth)
        labels = _kept(labels, worth, ROWS)
        known = [label.arch for label in labels]
        self._shape = features.Shape.of(known)
        columns, logits = (
            features.groups(known, self._shape),
            logits_of(labels) - self._along(known),
        )
        self._process = GaussianProcess(columns, logits, relevance)
        if pending:
            more = features.groups(pending, self._shape)
            expected, _ = self._process.predict(more)
            both = {name: np.concatenate([columns[name], more[name]]) for name in columns}
            self._process = GaussianProcess(both, np.concatenate([logits, expected]), relevance)

    def accuracies(self, archs: Sequence[Architecture], optimism: float = 0.0) -> list[float]:
        """What each network is expected to have, and so many standard deviations more."""
        if not archs:
            return []
        columns = features.groups(archs, self._shape)
        mean, std = self._process.predict(columns, noise=False)
        mean = mean + self._along(archs)
        return [float(accuracy) for accuracy in expit(mean + optimism * std)]

    def _along(self, archs: Sequence[Architecture]) -> Array:
        return np.array([self._trend(arch) for arch in archs])


def _kept(
    labels: Sequence[LabelledNetwork], worth: Callable[[LabelledNetwork], float], count: int
) -> Sequence[LabelledNetwork]:
    """All labels, or the best half and the latest half of ``count``, in order."""
    if len(labels) <= count:
        return labels
    places = set(nlargest(count // 2, range(len(labels)), key=lambda i: worth(labels[i])))
    places.update(islice((i for i in reversed(range(len(labels))) if i not in places), count // 2))
    return [labels[i] for i in sorted(places)]


def step(count: int) -> int:
    """The last step up to ``count`` of a series that grows by ``RELEARN``, ``START`` at least."""
    last = START
    while ceil(last * RELEARN) <= count:
        last = ceil(last * RELEARN)
    return last


def _relevance(
    labels: Sequence[LabelledNetwork], worth: Callable[[LabelledNetwork], float]
) -> Relevance:
    """What the first labels teach."""
    rows = _kept(labels[: step(len(labels))], worth, LEARN_ROWS)
    return _learnt(tuple(label.arch for label in rows), tuple(logits_of(rows)))


@lru_cache(maxsize=32)
def _learnt(archs: tuple[Architecture, ...], logits: tuple[float, ...]) -> Relevance:
    return learn(features.groups(archs, features.Shape.of(archs)), np.array(logits), PRIOR)


def logits_of(labels: Sequence[LabelledNetwork]) -> Array:
    """Log odds of accuracy, kept from the infinities of 0 and 1."""
    return logit(np.clip([label.accuracy for label in labels], EDGE, 1 - EDGE))
