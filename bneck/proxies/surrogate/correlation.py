"""Rank correlation between what a signal says and the truth, overall and at similar cost.

A search under a latency ceiling compares networks of similar cost, so what counts is the rank
correlation *in band*. Definition, used wherever this project says "in band": networks are sorted by
multiply-adds (or predicted latency; ties in their given order) and cut into ten bands of equal
count, or fewer so that each holds at least ten; Spearman's correlation of every band, ties at
their mean rank, averaged over the bands. A band in which the signal is constant counts 0.

Intervals are percentiles of a bootstrap. Simulated with normal values, those of Spearman's and
Kendall's correlation hold the truth 94 to 98 % of the time from 12 networks on. In band they are
too wide where the correlation is high (0.9: 1.8 times for 50 networks): a draw with replacement
has fewer different networks in each band.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
BANDS, MIN_IN_BAND = 10, 10
"""Most bands of similar cost, and fewest networks in each."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic and the 95 % interval of its bootstrap."""

    value: float
    low: float
    high: float


def spearman(signal: ArrayLike, truth: ArrayLike) -> float:
    """Spearman's rank correlation; 0 where either is constant."""
    a, b = ranks(signal), ranks(truth)
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm else 0.0


def kendall(signal: ArrayLike, truth: ArrayLike) -> float:
    """Kendall's tau-b; 0 where either is constant."""
    a, b = np.asarray(signal, float), np.asarray(truth, float)
    agree, ties_a, ties_b = 0.0, 0, 0
    for i in range(len(a) - 1):
        left, right = np.sign(a[i + 1 :] - a[i]), np.sign(b[i + 1 :] - b[i])
        agree += float(left @ right)
        ties_a += int((left == 0).sum())
        ties_b += int((right == 0).sum())
    pairs = len(a) * (len(a) - 1) / 2
    norm = float(np.sqrt((pairs - ties_a) * (pairs - ties_b)))
    return agree / norm if norm else 0.0


def in_band(signal: ArrayLike, truth: ArrayLike, cost: ArrayLike) -> float:
    """The module's definition; at least two networks.

    Args:
        signal: (networks,) what is to rank them.
        truth: (networks,) what they are ranked by in truth.
        cost: (networks,) multiply-adds or latency, by which they are put into bands.
    """
    a, b = np.asarray(signal, float), np.asarray(truth, float)
    order = np.argsort(np.asarray(cost, float), kind="stable")
    bands = max(1, min(BANDS, len(order) // MIN_IN_BAND))
    return float(np.mean([spearman(a[band], b[band]) for band in np.array_split(order, bands)]))


def bootstrap(
    statistic: Callable[..., float], *columns: ArrayLike, seed: int, samples: int = 1000
) -> Interval:
    """``statistic(*columns)``, and its interval over networks drawn again with replacement.

    Args:
        statistic: a number made of the columns.
        columns: (networks,) each; a drawn network brings its value of every column.
        seed: decides the samples.
        samples: how many times networks are drawn, each time as many as there are.
    """
    arrays = [np.asarray(column, float) for column in columns]
    random = np.random.default_rng(seed)
    count = len(arrays[0])
    drawn = [random.integers(count, size=count) for _ in range(samples)]
    values = [statistic(*(array[rows] for array in arrays)) for rows in drawn]
    low, high = np.quantile(values, (0.025, 0.975))
    return Interval(statistic(*arrays), float(low), float(high))


def ranks(values: ArrayLike) -> Array:
    """Return the ranks from 0, ties at their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: Array = ends - (counts + 1) / 2
    return middle[place]
