"""Two Gaussian processes, with and without a linear part, stacked.

How linear accuracy is in the features differs between spaces. So both processes are fitted, and
weighted by the density that each gives to labels left out (stacking of predictive distributions:
Yao et al. 2018, section 3.1). The labels alone decide the weights.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bneck.proxies.surrogate.gaussian_process import Columns, GaussianProcess, learn

Array = NDArray[np.float64]

LEARN_ROWS = 300
"""Labels, drawn at random, that relevances and weights are found from; the posterior takes all."""
MOST_ROWS = 5000
"""Most labels, drawn at random of more: the posterior takes their square in memory."""

_ROUNDS = 200


class Stacking:
    """The stacked predictions of both processes, fitted to rows and their targets."""

    def __init__(self, columns: Columns, targets: Array, prior: Mapping[str, float]) -> None:
        """Fit both processes and find their weights.

        Args:
            columns: features of the rows, by group.
            targets: (rows,) what is to be predicted.
            prior: relevance of each group before any row is seen.
        """
        drawn = np.random.default_rng(0).permutation(len(targets))[:MOST_ROWS]
        columns = {name: values[drawn] for name, values in columns.items()}
        targets = targets[drawn]
        first = {name: values[:LEARN_ROWS] for name, values in columns.items()}
        start = targets[:LEARN_ROWS]
        relevances = [learn(first, start, prior, linear=linear) for linear in (False, True)]
        self._processes = [GaussianProcess(first, start, each) for each in relevances]
        self.weights = stacked(np.array([each.left_out() for each in self._processes]))
        if len(targets) > LEARN_ROWS:
            self._processes = [GaussianProcess(columns, targets, each) for each in relevances]

    def predict(self, columns: Columns, *, noise: bool = True) -> tuple[Array, Array]:
        """Mean and standard deviation for each row, of a new label or (no noise) of its mean."""
        said = np.array([each.predict(columns, noise=noise) for each in self._processes])
        means, stds = said[:, 0], said[:, 1]
        mean = self.weights @ means
        return mean, np.sqrt(self.weights @ (stds**2 + (means - mean) ** 2))


def stacked(densities: Array) -> Array:
    """Return the models' weights, (models,), from their log densities, (models, labels).

    The weights sum to 1. They are those of largest likelihood, as if each model had predicted one
    label more than it did.
    """
    likelihoods = np.exp(densities - densities.max(axis=0))
    models, labels = densities.shape
    weights = np.full(models, 1 / models)
    for _ in range(_ROUNDS):
        shares = weights[:, None] * likelihoods
        weights = ((shares / shares.sum(axis=0)).sum(axis=1) + 1) / (labels + models)
    return weights
