"""Accuracy learnt from few labelled networks, with a standard deviation that can be trusted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bneck.errors import UsageError
from bneck.proxies.surrogate import features
from bneck.proxies.surrogate.correlation import in_band
from bneck.proxies.surrogate.stacking import Mixture
from bneck.space.architecture import Architecture

Array = NDArray[np.float64]
MIN_LABELS = 5
EDGE = 1e-3
"""Accuracies are learnt as if they kept so far from 0 and 1, whose log odds are infinite."""

FOLDS = 5

# Where relevances begin (log inverse squared length scales): properties of the whole network first.
PRIOR = {
    **dict.fromkeys(("depth", "expansion", "width", "empty"), -5.0),
    **dict.fromkeys(("kernel", "se", "hswish"), -6.0),
    "weights": -3.0,
    "cost": -4.0,
    "extra": -4.0,
    **dict.fromkeys(("stage size", "stage kind", "stage cost", "place", "slot"), -6.0),
}


class Surrogate:
    """A regression from architecture to accuracy.

    Gaussian processes on the logit of accuracy over the groups of ``features``: their kernels were
    chosen by cross-validation (docs/tables.md), relevances and weights come from the labels, so
    there is nothing to choose.
    """

    def __init__(
        self, archs: Sequence[Architecture], accuracies: ArrayLike, extra: ArrayLike | None = None
    ) -> None:
        """Learn from labels.

        Args:
            archs: at least five networks.
            accuracies: from 0 to 1, one a network.
            extra: (networks, columns) of more that is known of them, such as zero-cost scores;
                ``predict`` must then be given the same columns.

        Raises:
            UsageError: too few labels, or an accuracy that is not from 0 to 1.
        """
        self._archs, self._labels = list(archs), np.asarray(accuracies, float)
        _check(self._labels)
        self._extra = None if extra is None else np.asarray(extra, float)
        self._shape = features.Shape.of(archs)
        logits = logit(np.clip(self._labels, EDGE, 1 - EDGE))
        self._model = Mixture(self._columns(archs, self._extra), logits, PRIOR)

    def predict(
        self,
        archs: Sequence[Architecture],
        extra: ArrayLike | None = None,
        *,
        noise: bool = True,
    ) -> tuple[Array, Array]:
        """Accuracy and its standard deviation, of a new label or (no noise) of its mean."""
        columns = self._columns(archs, None if extra is None else np.asarray(extra, float))
        mean, std = self._model.predict(columns, noise=noise)
        accuracy = expit(mean)
        return accuracy, (expit(mean + std) - expit(mean - std)) / 2

    def cross_validated(self, seed: int = 0) -> float:
        """Correlation in band (``correlation``) of five-fold predictions with the labels."""
        count = len(self._labels)
        order = np.random.default_rng(seed).permutation(count)
        guesses = np.zeros(count)
        for fold in np.array_split(order, min(FOLDS, count - MIN_LABELS + 1)):
            rest = np.setdiff1d(order, fold)
            model = Surrogate(
                [self._archs[i] for i in rest], self._labels[rest], _rows(self._extra, rest)
            )
            held_out = [self._archs[i] for i in fold]
            guesses[fold], _ = model.predict(held_out, _rows(self._extra, fold))
        return in_band(guesses, self._labels, features.macs(self._archs))

    def _columns(self, archs: Sequence[Architecture], extra: Array | None) -> dict[str, Array]:
        columns = features.groups(archs, self._shape)
        if extra is not None and self._extra is not None:
            if extra.shape != (len(archs), *self._extra.shape[1:]):
                raise UsageError(f"extra columns must be one row a network, got {extra.shape}")
            columns["extra"] = extra
        elif extra is not None or self._extra is not None:
            raise UsageError("extra columns must be given for all networks or for none")
        return columns


def logit(share: Array) -> Array:
    """Log odds; makes the last percent to 100 as long a way as it is in training."""
    return np.log(share / (1 - share))


def expit(odds: Array) -> Array:
    """The inverse of ``logit``."""
    return 1 / (1 + np.exp(-odds))


def _check(labels: Array) -> None:
    if len(labels) < MIN_LABELS:
        raise UsageError(f"a surrogate needs at least {MIN_LABELS} labels, got {len(labels)}")
    for place, label in enumerate(labels):
        if not 0 <= label <= 1:
            raise UsageError(f"accuracy {place + 1} must be from 0 to 1, got {label}")


def _rows(extra: Array | None, rows: NDArray[np.intp]) -> Array | None:
    return None if extra is None else extra[rows]
