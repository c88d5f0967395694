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
"""Labels from which relevances are learnt; with fewer they are the prior's."""

FEW_STD = 0.15
"""Log odds by which networks are taken to differ from the trend while there are fewer labels."""

ROWS, LEARN_ROWS = 200, 150
"""Labels that the posterior and its relevances rest on; beyond them, the best and the latest."""

RELEARN = 1.15
"""Relevances are found again whenever the labels have grown by this factor."""


_PRIOR = Relevance(PRIOR)


def no_trend(arch: Architecture) -> float:
    """Return 0: nothing is known beforehand."""
    return 0.0


class OnlineSurrogate:
    """What the labels so far say about other networks; those in evaluation count as expected."""

    def __init__(
        self,
        labels: Sequence[LabelledNetwork],
        reward_of: Callable[[LabelledNetwork], float],
        pending: Sequence[Architecture] = (),
        trend: Callable[[Architecture], float] = no_trend,
    ) -> None:
        """Learn from any number of labels, even none.

        Args:
            labels: networks that were evaluated.
            reward_of: says which labels are kept where there are many.
            pending: networks in evaluation.
            trend: a known part of the log odds of accuracy; only what departs from it is learnt.
        """
        self._trend = trend
        few = len(labels) < START
        relevance = _PRIOR if few else _relevance(labels, reward_of)
        labels = _kept(labels, reward_of, ROWS)
        known = [label.arch for label in labels]
        archs = [*known, *pending]
        self._process: GaussianProcess | None = None
        if not archs:
            return
        self._shape = features.Shape.of(archs if few else known)
        columns = features.groups(archs, self._shape)
        first = {name: rows[: len(known)] for name, rows in columns.items()}
        scaled_by, unit = (columns, FEW_STD) if few else (None, None)
        logits = logits_of(labels) - self._along(known)
        if pending:
            expected = np.zeros(len(pending))
            if known:
                process = GaussianProcess(first, logits, relevance, unit=unit, scaled_by=scaled_by)
                more = {name: rows[len(known) :] for name, rows in columns.items()}
                expected, _ = process.predict(more)
            logits = np.concatenate([logits, expected])
        self._process = GaussianProcess(columns, logits, relevance, unit=unit, scaled_by=scaled_by)

    def accuracies(self, archs: Sequence[Architecture], optimism: float = 0.0) -> list[float]:
        """Return each network's expected accuracy plus ``optimism`` standard deviations, 0 to 1."""
        if not archs:
            return []
        mean, std = self._along(archs), np.zeros(len(archs))
        if self._process is not None:
            columns = features.groups(archs, self._shape)
            rest, std = self._process.predict(columns, noise=False)
            mean = mean + rest
        return [float(accuracy) for accuracy in expit(mean + optimism * std)]

    def _along(self, archs: Sequence[Architecture]) -> Array:
        return np.array([self._trend(arch) for arch in archs], float)


def _kept(
    labels: Sequence[LabelledNetwork], reward_of: Callable[[LabelledNetwork], float], count: int
) -> Sequence[LabelledNetwork]:
    """All labels, or the best half and the latest half of ``count``, in order."""
    if len(labels) <= count:
        return labels
    places = set(nlargest(count // 2, range(len(labels)), key=lambda i: reward_of(labels[i])))
    places.update(islice((i for i in reversed(range(len(labels))) if i not in places), count // 2))
    return [labels[i] for i in sorted(places)]


def step(count: int) -> int:
    """The last step up to ``count`` of a series that grows by ``RELEARN``, ``START`` at least."""
    last = START
    while ceil(last * RELEARN) <= count:
        last = ceil(last * RELEARN)
    return last


def _relevance(
    labels: Sequence[LabelledNetwork], reward_of: Callable[[LabelledNetwork], float]
) -> Relevance:
    """Relevances that the first labels teach."""
    rows = _kept(labels[: step(len(labels))], reward_of, LEARN_ROWS)
    return _learnt(tuple(label.arch for label in rows), tuple(logits_of(rows)))


@lru_cache(maxsize=32)
def _learnt(archs: tuple[Architecture, ...], logits: tuple[float, ...]) -> Relevance:
    return learn(features.groups(archs, features.Shape.of(archs)), np.array(logits), PRIOR)


def logits_of(labels: Sequence[LabelledNetwork]) -> Array:
    """Log odds of accuracy, kept from the infinities of 0 and 1."""
    accuracies = np.array([label.accuracy for label in labels], float)
    return logit(np.clip(accuracies, EDGE, 1 - EDGE))
