"""How well a fit foretells networks that it did not see, and how sure it may be."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bneck.latency.measurements import Measurement
from bneck.latency.model import CalibrationReport, LatencyModel
from bneck.space.architecture import Architecture

FEW_REPEATS = 12
CAREFUL = 0.01
"""Relative standard error of a careful measurement, which a prediction is compared with."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The report, and the error and disagreement that a ``LatencyModel`` states."""

    report: CalibrationReport
    error: float
    disagreement: float
    judged: list[list[float]]


UNJUDGED = Verdict(CalibrationReport(0.0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.0, 0.0, [])
"""For a model that is about to be judged."""


def judge(
    model: LatencyModel, held_out: Sequence[Measurement], repeats: Sequence[Measurement]
) -> Verdict:
    """Compare predictions with networks that were each measured once or more often.

    What a prediction misses every time in the same way is the model's fault, what changes between
    two measurements is noise: so the model's variance is the mean product of two errors of one
    network, over all pairs of its measurements.
    """
    found: dict[Architecture, list[Measurement]] = {item.arch: [item] for item in held_out}
    for item in repeats:
        found.setdefault(item.arch, []).append(item)
    errors, spreads, judged, moved = [], [], [], []
    products, pairs = [], []
    for arch, items in found.items():
        predicted = model.predict(arch)
        spreads.append(predicted.std_ms / predicted.ms)
        own = np.array([predicted.ms / model.scale.ms(item.timing) - 1 for item in items])
        errors.append(float(own.mean()))
        judged.append([predicted.ms, predicted.ms / (1 + errors[-1])])
        if len(own) > 1:
            moved.append(abs(float(own[0] - own[1])))
            clipped = np.clip(own, -0.25, 0.25)
            pairs.append(len(own) * (len(own) - 1))
            products.append((clipped.sum() ** 2 - (clipped**2).sum()) / pairs[-1])
    error = np.array(errors)
    if len(products) >= FEW_REPEATS:
        variance = plausible_variance(np.array(products), np.array(pairs))
    else:
        variance = float(np.mean(np.clip(error, -0.25, 0.25) ** 2))
    report = CalibrationReport(
        seconds=0.0,
        networks=0,
        held_out=len(error),
        mape_percent=100 * float(np.abs(error).mean()),
        bias_percent=100 * float(error.mean()),
        within_5_percent=100 * float((np.abs(error) <= 0.05).mean()),
        within_10_percent=100 * float((np.abs(error) <= 0.10).mean()),
        repeat_mape_percent=100 * float(np.mean(moved)) if moved else 0.0,
    )
    return Verdict(report, (variance + CAREFUL**2) ** 0.5, float(np.median(spreads)), judged)


def plausible_variance(
    estimates: NDArray[np.float64], weights: NDArray[np.int64] | NDArray[np.float64]
) -> float:
    """What a variance is on average, given noisy unbiased estimates of it, some below 0.

    Their weighted mean has a standard error; a variance cannot be negative. So it is the mean of a
    normal distribution cut off at 0: the estimate itself where that is well above its standard
    error, and most of a standard error where noise made it 0 or less.
    """
    mean = float(np.average(estimates, weights=weights))
    squares = (weights * (estimates - mean)) ** 2
    error = float(squares.sum() ** 0.5 / weights.sum())
    if error == 0:
        return max(0.0, mean)
    normal, steps = NormalDist(), max(mean / error, -3.0)
    return error * (steps + normal.pdf(steps) / normal.cdf(steps))
