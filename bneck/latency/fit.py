"""Weighing features so that they add up to measured times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from bneck.errors import BneckError
from bneck.latency.calibration.networks import FOLDS
from bneck.latency.feature_table import FeatureTable
from bneck.latency.features import Blocking, refines, tells_blocking
from bneck.latency.load_correction import LoadCorrection
from bneck.latency.measurements import Measurement
from bneck.latency.timing import Timing

Floats = NDArray[np.float64]
GRIDS = (1, 4, 8, 16, 32)
ALIGNMENTS = (1, 2, 4, 8)
BLOCKINGS = (
    *(Blocking(grid, one) for grid, one in product(GRIDS, ALIGNMENTS) if one <= grid),
    *(Blocking(grid, 1, in_memory=False) for grid in GRIDS),
)
RIDGE, REFINING_RIDGE = 0.05, 100.0
"""Penalties, in networks' worth of evidence, on features and on those that refine them."""
ENSEMBLE = 12
"""Fits, each to networks drawn at random, whose disagreement says how sure a prediction is."""
ENOUGH = 600
"""Networks that suffice to tell the blocking."""
CLEARLY = 0.98
"""Share of the least error so far that a coarser blocking must stay below to be taken."""
MISFIT = 0.02
"""Relative error that even a timing without noise is fitted with."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients by feature, one for each member of the ensemble; the mean predicts.

    ``errors`` are the relative errors of cross-validation, (networks,).
    """

    scale: LoadCorrection
    coefficients: dict[str, list[float]]
    errors: Floats


def fit(items: Sequence[Measurement], blocking: Blocking) -> Fit:
    """Find the load correction and the coefficients, by least relative error.

    An ensemble is fitted to networks drawn with replacement: where its members disagree, the
    measurements say little. All networks must have the same number of classes.

    Raises:
        BneckError: the measurements contradict each other, as no load or noise makes them.
    """
    names, values = FeatureTable(item.arch for item in items).under(blocking)
    timings = [item.timing for item in items]
    trust = trusted(timings)
    scale = LoadCorrection.uncorrected(timings, items[0].arch.classes)
    for _ in range(2):
        times = np.array([scale.ms(timing) for timing in timings])
        predicted = cross_validated(names, values, times, trust)
        scale = scale.corrected(timings, predicted)
    times = np.array([scale.ms(timing) for timing in timings])
    draw = np.random.default_rng(0)
    members = []
    for _ in range(ENSEMBLE):
        chosen = draw.integers(len(items), size=len(items))
        members.append(weigh(names, values[chosen], times[chosen], trust[chosen]))
    weights = np.array(members).T
    coefficients = {n: w.tolist() for n, w in zip(names, weights, strict=True)}
    return Fit(scale, coefficients, predicted / times - 1)


def find_blocking(items: Sequence[Measurement]) -> Blocking:
    """The channel grid and alignment whose features predict unseen networks best.

    Raises:
        BneckError: as ``fit``.
    """
    items = items[:ENOUGH]
    timings = [item.timing for item in items]
    trust = trusted(timings)
    scale = LoadCorrection.uncorrected(timings, items[0].arch.classes)
    times = np.array([scale.ms(timing) for timing in timings])
    table = FeatureTable(item.arch for item in items)
    best, least = Blocking(1, 1), float("inf")
    for blocking in BLOCKINGS:
        names, values = table.under(blocking)
        kept = [column for column, name in enumerate(names) if tells_blocking(name)]
        names, values = [names[column] for column in kept], values[:, kept]
        predicted, error = times.copy(), 0.0
        for unseen, found in _by_fold(names, values, times, trust):
            predicted[unseen] = found
            error = relative_error(predicted, times, trust)  # further folds only add to it
            # A finer blocking explains as much with less: a coarser one must be clearly better.
            if error >= CLEARLY * least:
                break
        else:
            best, least = blocking, error
    return best


def trusted(timings: Sequence[Timing]) -> Floats:
    """(networks,) How much a timing counts, 1 on average: one that scattered counts less."""
    spreads = np.array([timing.spread for timing in timings])
    trust: Floats = 1 / (MISFIT**2 + spreads**2)
    trust /= trust.mean()
    return trust


def weigh(names: Sequence[str], values: Floats, times: Floats, trust: Floats) -> Floats:
    """Coefficients (features,), none negative, with the least squared *relative* error.

    Errors are taken relative to the measured times, then to what that predicts: the first alone
    leans low, for a time that noise made small counts more than one that it made large.

    Args:
        names: of the features.
        values: of the features, (networks, features).
        times: measured ms, (networks,).
        trust: how much each network counts, (networks,).
    """
    roots = np.sqrt(trust)
    penalty = np.sqrt([REFINING_RIDGE if refines(name) else RIDGE for name in names])
    weights, scale = np.ones(len(names)), times
    for _ in range(2):
        shares = values * (roots / scale)[:, None]
        sizes = np.sqrt((shares**2).mean(axis=0))
        sizes[sizes == 0] = 1.0
        target = np.concatenate([roots * times / scale, np.zeros(len(names))])
        solved, _ = nnls(np.vstack([shares / sizes, np.diag(penalty)]), target)
        weights = solved / sizes
        scale = _sums(values, weights)
    return weights


def _sums(values: Floats, weights: Floats) -> Floats:
    """(networks,) ms, none of which is 0: something of each network takes time."""
    ms: Floats = values @ weights
    if not ms.all():
        raise BneckError(
            "the measurements contradict each other: by the others, a network takes no time at "
            "all; measure again, in another folder"
        )
    return ms


def cross_validated(names: Sequence[str], values: Floats, times: Floats, trust: Floats) -> Floats:
    """(networks,) times in ms, predicted by coefficients that were fitted to other networks.

    Args:
        names, values, times, trust: as for ``weigh``.

    Raises:
        BneckError: the measurements contradict each other, as no load or noise makes them.
    """
    predicted = np.zeros(len(times))
    for unseen, found in _by_fold(names, values, times, trust):
        predicted[unseen] = found
    return predicted


def _by_fold(
    names: Sequence[str], values: Floats, times: Floats, trust: Floats
) -> Iterator[tuple[NDArray[np.bool_], Floats]]:
    """Yield (networks,) which networks a fold holds, and their times predicted by the others."""
    fold = np.arange(len(times)) % FOLDS
    for number in range(FOLDS):
        seen = fold != number
        weights = weigh(names, values[seen], times[seen], trust[seen])
        yield ~seen, _sums(values[~seen], weights)


def relative_error(predicted: Floats, times: Floats, trust: Floats) -> float:
    """Root mean square; errors count 25 % at most, so that one spoilt timing decides nothing.

    Args:
        predicted: ms, (networks,).
        times: measured ms, (networks,).
        trust: how much each network counts, (networks,).
    """
    errors = np.minimum(np.abs(predicted / times - 1), 0.25)
    return float(np.sqrt(np.average(errors**2, weights=trust)))
