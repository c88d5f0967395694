"""How well a fit predicts networks that it did not see, and how sure it may be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bneck.latency.calibration.report import CalibrationReport
from bneck.latency.measurements import Measurement
from bneck.latency.model import LatencyModel
from bneck.quantities import Latency
from bneck.space.architecture import Architecture

Floats = NDArray[np.float64]
CAREFUL = 0.007
"""Relative standard error of a careful measurement, which a prediction is compared with: that of
the mean of four or five sessions, as benchmarks/latency.py finds it (0.6 to 0.8 %)."""
SPOILT = 0.1
"""Errors count no more than this: beyond it a timing was disturbed, or the network is not a
typical one."""
GRID = np.linspace(0.02, 1.5, 75)
"""Standard deviations that are considered, as shares of all errors' root mean square."""


@dataclass(frozen=True, slots=True)
class Validation:
    """The report, and the error that a ``LatencyModel`` states."""

    report: CalibrationReport
    error: float
    held_out: list[list[float]]


NOT_VALIDATED = Validation(CalibrationReport(0.0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.0, [])
"""Stands in a model that is about to be validated."""


def validate(
    model: LatencyModel,
    fitted: Sequence[Measurement],
    fitted_errors: Floats,
    held_out: Sequence[Measurement],
    repeats: Sequence[Measurement],
) -> Validation:
    """Compare predictions with measurements.

    The report is of the held-out networks, which were each measured once or more often. How sure
    the model may be is found from them and from the networks of its fit.

    Args:
        model: fitted to ``fitted`` alone; its own error is not known yet.
        fitted: the networks of its fit.
        fitted_errors: (networks,) relative errors on ``fitted``, found by cross-validation.
        held_out: the first measurement of each network that the fit did not see.
        repeats: further measurements of those networks.
    """
    found: dict[Architecture, list[Measurement]] = {}
    for item in (*held_out, *repeats):
        found.setdefault(item.arch, []).append(item)
    errors = [np.array([error]) for error in fitted_errors]
    spreads = [_spread(model.predict(item.arch)) for item in fitted]
    means, pairs, moved = [], [], []
    for arch, items in found.items():
        predicted = model.predict(arch)
        own = np.array([predicted.ms / model.scale.ms(item.timing) - 1 for item in items])
        errors.append(own)
        spreads.append(_spread(predicted))
        means.append(float(own.mean()))
        pairs.append([predicted.ms, predicted.ms / (1 + means[-1])])
        if len(own) > 1:
            moved.append(abs(float(own[0] - own[1])))
    mean = np.array(means)
    report = CalibrationReport(
        seconds=0.0,
        networks=0,
        held_out=len(mean),
        mape_percent=100 * float(np.abs(mean).mean()),
        bias_percent=100 * float(mean.mean()),
        within_5_percent=100 * float((np.abs(mean) <= 0.05).mean()),
        within_10_percent=100 * float((np.abs(mean) <= 0.10).mean()),
        repeat_mape_percent=100 * float(np.mean(moved)) if moved else 0.0,
    )
    return Validation(report, (own_variance(errors, np.array(spreads)) + CAREFUL**2) ** 0.5, pairs)


def _spread(predicted: Latency) -> float:
    """Relative spread of the ensemble, which is all that a model states before it is validated."""
    return (predicted.std_ms or 0.0) / predicted.ms


def own_variance(errors: Sequence[Floats], spreads: Floats) -> float:
    """Relative variance of what a model misses of a network beyond what its ensemble admits.

    What a prediction misses every time in the same way is the model's fault, what changes between
    two measurements is noise. So with one-way random effects: an error is normal with the variance
    ``own + spread**2``, the same for all measurements of a network, plus that of the noise, which
    differs each time. Returned is the mean of ``own`` over both unknown deviations, weighted by
    their likelihood: it is above 0 even where noise hides it.

    Args:
        errors: relative errors of the measurements of each network.
        spreads: (networks,) relative spread of the ensemble on each.
    """
    clipped = [np.clip(own, -SPOILT, SPOILT) for own in errors]
    counts = np.array([len(own) for own in clipped])
    means = np.array([own.mean() for own in clipped])
    within = sum(float(((own - own.mean()) ** 2).sum()) for own in clipped)
    again = int((counts - 1).sum())
    size = float(np.mean(means**2) ** 0.5)
    if size == 0:
        return 0.0
    own_grid = (GRID * size) ** 2
    likelihoods = []
    for noise in own_grid:
        total = own_grid[:, None] + spreads**2 + noise / counts
        between = (means**2 / total + np.log(total)).sum(axis=1)
        likelihoods.append(-(between + within / noise + again * np.log(noise)) / 2)
    table = np.array(likelihoods)
    weights = np.exp(table - table.max()).sum(axis=0)
    return float(np.average(own_grid, weights=weights))
