"""From ratios to the reference to milliseconds on an ordinary day of the machine."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bneck.latency.timing import Timing

MIN_UNREST = 0.01
WILD = 0.25


@dataclass(frozen=True, slots=True)
class LoadCorrection:
    """``reference_ms`` is the ordinary time of the reference, which knows ``classes`` classes.

    When a machine is loaded, not all networks slow down by the same factor: those that wait for
    memory suffer most, so a plain ratio to the reference still drifts. ``load`` says which share of
    the reference's slowness a network does *not* have, ``load_by_size`` how that share grows with
    the logarithm of the ratio; both are 0 on a machine that has only one speed.
    """

    reference_ms: float
    load: float = 0.0
    load_by_size: float = 0.0
    classes: int = 1000

    @classmethod
    def ordinary(cls, timings: Sequence[Timing], classes: int) -> Self:
        """The median of what the reference took, without a correction."""
        return cls(median(timing.reference_ms for timing in timings), classes=classes)

    def ms(self, timing: Timing) -> float:
        """What the timed network takes on the ordinary day."""
        slowness = math.log(timing.reference_ms / self.reference_ms)
        share = min(1.0, max(-1.0, self.load + self.load_by_size * math.log(timing.ratio)))
        return timing.ratio * self.reference_ms * math.exp(share * slowness)

    def corrected(self, timings: Sequence[Timing], predicted_ms: NDArray[np.float64]) -> Self:
        """The scale whose load correction explains most of what a model's errors owe to load."""
        ratios = np.array([timing.ratio for timing in timings])
        slowness = np.log([timing.reference_ms / self.reference_ms for timing in timings])
        errors = np.log(predicted_ms / (ratios * self.reference_ms))
        sane = np.abs(errors) < WILD
        if slowness[sane].std() < MIN_UNREST:
            return self
        terms = np.stack([np.ones_like(slowness), slowness, slowness * np.log(ratios)], axis=1)
        _, load, by_size = np.linalg.lstsq(terms[sane], errors[sane], rcond=None)[0]
        return replace(self, load=float(load), load_by_size=float(by_size))
