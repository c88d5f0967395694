"""From ratios to the reference to milliseconds under the usual load of the machine."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bneck.latency.timing import Timing

MIN_UNREST = 0.01
"""Least scatter of the reference, relative, that a correction can be found from."""
WILD = 0.25
"""Relative error of a prediction from which a timing is left out, as spoilt."""
PLAUSIBLE = 0.3
"""Standard deviation, over machines, of the two shares that are looked for. What a calibration's
networks cannot tell from noise stays near 0: of 100, timed while the reference moved by 2 %, each
share has a standard error of 0.3 to 0.5, and correcting by it makes repeated timings differ more.
"""


@dataclass(frozen=True, slots=True)
class LoadCorrection:
    """``reference_ms`` is the usual time of the reference, which has ``classes`` classes.

    When a machine is loaded, not all networks slow down by the same factor: those that wait for
    memory suffer most, so a plain ratio to the reference still drifts. ``load`` says which share of
    the reference's slowness a network does *not* have, ``load_by_size`` how that share grows with
    the logarithm of the ratio; both are 0 on a machine that has only one speed. ``seen_ms`` is the
    shortest and the longest time of the reference that they were found by, empty where that is not
    known: of slowness beyond it a network is taken to have all, as of a slower clock.
    """

    reference_ms: float
    load: float = 0.0
    load_by_size: float = 0.0
    classes: int = 1000
    seen_ms: tuple[float, ...] = ()

    @classmethod
    def uncorrected(cls, timings: Sequence[Timing], classes: int) -> Self:
        """The median of what the reference took, without a correction."""
        return cls(median(timing.reference_ms for timing in timings), classes=classes)

    def ms(self, timing: Timing) -> float:
        """What the timed network takes under the usual load."""
        now_ms = timing.reference_ms
        if self.seen_ms:
            now_ms = min(max(now_ms, self.seen_ms[0]), self.seen_ms[-1])
        slowness = math.log(now_ms / self.reference_ms)
        share = min(1.0, max(-1.0, self.load + self.load_by_size * math.log(timing.ratio)))
        return timing.ratio * self.reference_ms * math.exp(share * slowness)

    def corrected(self, timings: Sequence[Timing], predicted_ms: NDArray[np.float64]) -> Self:
        """The scale whose load correction explains most of what a model's errors owe to load."""
        ratios = np.array([timing.ratio for timing in timings])
        references_ms = np.array([timing.reference_ms for timing in timings])
        slowness = np.log(references_ms / self.reference_ms)
        errors = np.log(predicted_ms / (ratios * self.reference_ms))
        sane = np.abs(errors) < WILD
        if not sane.any() or slowness[sane].std() < MIN_UNREST:
            return self
        terms = np.stack([np.ones_like(slowness), slowness, slowness * np.log(ratios)], axis=1)
        terms, errors = terms[sane], errors[sane]
        misses = errors - terms @ np.linalg.lstsq(terms, errors, rcond=None)[0]
        noise = float(misses @ misses) / max(1, len(misses) - terms.shape[1])
        doubt = np.diag([0.0, 1.0, 1.0]) * math.sqrt(noise) / PLAUSIBLE
        rows, aims = np.vstack([terms, doubt]), np.append(errors, np.zeros(len(doubt)))
        _, load, by_size = np.linalg.lstsq(rows, aims, rcond=None)[0]
        seen_ms = float(references_ms[sane].min()), float(references_ms[sane].max())
        return replace(self, load=float(load), load_by_size=float(by_size), seen_ms=seen_ms)
