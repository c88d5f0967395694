"""What is measured or estimated, each with how sure it is."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from statistics import NormalDist, stdev
from typing import Any, TypeGuard


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one forward pass, and how sure they are.

    ``std_ms`` is the standard error of a measurement, or the standard deviation of a prediction's
    error; None where nothing says how sure they are, as in a published table.
    """

    ms: float
    std_ms: float | None = None


CONFIDENCE = 0.9
"""Probability with which a network that is not measured must be predicted under its target."""


def at_most_ms(predicted: Latency) -> float:
    """Return the milliseconds that a prediction stays under with ``CONFIDENCE``."""
    return predicted.ms + NormalDist().inv_cdf(CONFIDENCE) * (predicted.std_ms or 0.0)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of images that are classified right, from 0 to 1, with its standard error.

    ``stderr`` is None where nothing says how sure the share is, as in a published table.
    """

    value: float
    stderr: float | None = None

    @classmethod
    def counted(cls, share: float, images: int) -> "Accuracy":
        """Return a share that was counted on some images, with its binomial standard error.

        Where none or all are right, the error is that of half an image more or less: that few
        images are all right does not prove that all others would be.
        """
        inside = min(max(share, 0.5 / images), 1 - 0.5 / images)
        return cls(share, sqrt(inside * (1 - inside) / images))


def plain(value: Any) -> Any:
    """Return a number of NumPy's or torch's as Python's own, anything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def marks(right: Iterable[object]) -> str:
    """Return "1" for each image that was classified right, "0" for each that was not."""
    return "".join("01"[bool(one)] for one in right)


def difference(
    ours: Accuracy, theirs: Accuracy, our_marks: str = "", their_marks: str = ""
) -> Accuracy:
    """Return our accuracy less theirs, with its standard error.

    Two networks that were judged by the same images are compared in pairs: an image that both
    classify right, or both wrong, tells nothing (McNemar 1947). Where it is not known which images
    were right, the error is that of images of its own for each, which is too wide: such networks
    fail on the same images more often than not. It is None where one of the two is. Where all
    images tell for one network, the error is that of half an image more or less, as in ``counted``.

    Args:
        ours: an accuracy.
        theirs: the other one.
        our_marks: the ``marks`` of the images that ours was counted on; "" where unknown.
        their_marks: those of the same images, in the same order.
    """
    value = ours.value - theirs.value
    if not our_marks or len(our_marks) != len(their_marks):
        if ours.stderr is None or theirs.stderr is None:
            return Accuracy(value)
        return Accuracy(value, hypot(ours.stderr, theirs.stderr))
    count = len(our_marks)
    apart = sum(our != their for our, their in zip(our_marks, their_marks, strict=True))
    inside = min(abs(value), 1 - 0.5 / count)
    return Accuracy(value, sqrt(max(0.0, apart / count - inside**2) / count))


def is_finite(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number, and no bool, that a float can hold.

    Python's whole numbers may be larger than any float, and those of a file are anyone's.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def standard_deviation(values: Sequence[float]) -> float | None:
    """Return that of a sample; None for a single value, which says nothing of its spread."""
    return stdev(values) if len(values) > 1 else None


def standard_error(values: Sequence[float]) -> float | None:
    """Return that of a sample's mean; None for a single value."""
    spread = standard_deviation(values)
    return None if spread is None else spread / sqrt(len(values))
