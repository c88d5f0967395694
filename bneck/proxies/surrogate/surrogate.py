"""Accuracy learnt from few labelled networks, with a standard deviation that can be trusted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bneck.errors import UsageError
from bneck.proxies.surrogate import features
from bneck.proxies.surrogate.correlation import in_band
from bneck.proxies.surrogate.stacking import Stacking
from bneck.proxies.surrogate.table import MIN_NETWORKS
from bneck.space.architecture import Architecture

Array = NDArray[np.float64]
EDGE = 1e-3
"""Accuracies are clipped to this distance from 0 and 1, whose log odds are infinite."""

FOLDS = 5

# Where relevances begin (log inverse squared length scales): properties of the whole network first.
PRIOR = {
    **dict.fromkeys(("depth", "expansion", "width", "empty"), -5.0),
    **dict.fromkeys(("kernel", "se", "hswish"), -6.0),
    "weights": -3.0,
    "cost": -4.0,
    **dict.fromkeys(("stage size", "stage kind", "stage cost", "place", "slot"), -6.0),
}


class Surrogate:
    """A regression from architecture to accuracy.

    Gaussian processes on the logit of accuracy over the groups of ``features``: their kernels were
    chosen by cross-validation (docs/tables.md), relevances and weights come from the labels, so
    there is nothing to choose.
    """

    def __init__(self, archs: Sequence[Architecture], accuracies: ArrayLike) -> None:
        """Learn from at least five networks and their accuracies, from 0 to 1.

        Raises:
            UsageError: too few labels, or an accuracy that is not from 0 to 1.
        """
        self._archs, self._labels = list(archs), np.asarray(accuracies, float)
        _check(self._labels)
        self._shape = features.Shape.of(archs)
        logits = logit(np.clip(self._labels, EDGE, 1 - EDGE))
        self._model = Stacking(features.groups(archs, self._shape), logits, PRIOR)

    def predict(self, archs: Sequence[Architecture], *, noise: bool = True) -> tuple[Array, Array]:
        """Predict each network's accuracy.

        Returns:
            (networks,) accuracies and (networks,) standard deviations, those of a new label or
            (no noise) of its mean.
        """
        if not archs:
            return np.zeros(0), np.zeros(0)
        mean, std = self._model.predict(features.groups(archs, self._shape), noise=noise)
        accuracy = expit(mean)
        return accuracy, (expit(mean + std) - expit(mean - std)) / 2

    def cross_validated(self, seed: int = 0) -> float:
        """Correlation in band (``correlation``) of five-fold predictions with the labels.

        Of six labels each is left out alone, so that enough are left to learn from.

        Raises:
            UsageError: five labels, of which none can be left out.
        """
        count = len(self._labels)
        folds = FOLDS if count > MIN_NETWORKS + 1 else count
        order = np.random.default_rng(seed).permutation(count)
        guesses = np.zeros(count)
        for fold in np.array_split(order, folds):
            rest = np.setdiff1d(order, fold)
            model = Surrogate([self._archs[i] for i in rest], self._labels[rest])
            guesses[fold], _ = model.predict([self._archs[i] for i in fold])
        return in_band(guesses, self._labels, features.macs(self._archs))


def logit(share: Array) -> Array:
    """Log odds of shares: the last percent to 100 counts for as much as it costs in training."""
    return np.log(share / (1 - share))


def expit(odds: Array) -> Array:
    """The inverse of ``logit``."""
    return 1 / (1 + np.exp(-odds))


def _check(labels: Array) -> None:
    if len(labels) < MIN_NETWORKS:
        raise UsageError(f"a surrogate needs at least {MIN_NETWORKS} labels, got {len(labels)}")
    for place, label in enumerate(labels):
        if not 0 <= label <= 1:
            raise UsageError(f"accuracy {place + 1} must be from 0 to 1, got {label}")
