"""How well a fit foretells networks that it did not see, and how sure it may be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bneck.latency.measurements import Measurement
from bneck.latency.model import CalibrationReport, LatencyModel

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
    """Compare predictions with networks measured once or twice.

    What a prediction misses twice in the same way is the model's fault, what changes between two
    measurements is noise: so the model's variance is the covariance of the two errors, plus the
    standard error of that covariance. A few dozen noisy networks may show none by chance.
    """
    again = {item.arch: item for item in repeats}
    errors, twice, spreads, judged = [], [], [], []
    for item in held_out:
        predicted = model.predict(item.arch)
        spreads.append(predicted.std_ms / predicted.ms)
        first = predicted.ms / model.scale.ms(item.timing) - 1
        if item.arch in again:
            second = predicted.ms / model.scale.ms(again[item.arch].timing) - 1
            twice.append((first, second))
            errors.append((first + second) / 2)
        else:
            errors.append(first)
        judged.append([predicted.ms, predicted.ms / (1 + errors[-1])])
    error = np.array(errors)
    pairs = np.array(twice).reshape(-1, 2)
    if len(pairs) >= FEW_REPEATS:
        products = np.clip(pairs, -0.25, 0.25).prod(axis=1)
        own = max(0.0, float(products.mean())) + float(products.std()) / len(products) ** 0.5
    else:
        own = float(np.mean(np.clip(error, -0.25, 0.25) ** 2))
    moved = np.abs(pairs[:, 0] - pairs[:, 1])
    report = CalibrationReport(
        seconds=0.0,
        networks=0,
        held_out=len(error),
        mape_percent=100 * float(np.abs(error).mean()),
        bias_percent=100 * float(error.mean()),
        within_5_percent=100 * float((np.abs(error) <= 0.05).mean()),
        within_10_percent=100 * float((np.abs(error) <= 0.10).mean()),
        repeat_mape_percent=100 * float(moved.mean()) if len(moved) else 0.0,
    )
    return Verdict(report, (own + CAREFUL**2) ** 0.5, float(np.median(spreads)), judged)
