"""Checks of the numbers in files about latency; each raises UsageError, naming the bad value."""

from collections.abc import Mapping, Sequence

from bneck.errors import UsageError
from bneck.space.checks import check_between

MOST = 1e9
"""ms, or times the reference: beyond what any network takes."""
MOST_FITTED = 1e60
"""What is fitted to such numbers, as ms per thousand floats. Its sums and squares are finite."""


def check_above(name: str, value: float, most: float = MOST) -> None:
    """``value`` must be above 0, and at most ``most``."""
    if value <= 0:
        raise UsageError(f"{name} must be above 0, got {value}")
    check_between(name, value, 0, most)


def check_not_negative(name: str, value: float, most: float = MOST) -> None:
    """``value`` must be 0 or above, and at most ``most``."""
    if value < 0:
        raise UsageError(f"{name} must not be negative, got {value}")
    check_between(name, value, 0, most)


def check_coefficients(coefficients: Mapping[str, Sequence[float]]) -> None:
    """Refuse coefficients that are negative, above MOST_FITTED, all 0, or of different lengths."""
    for name, members in coefficients.items():
        if not members:
            raise UsageError(f"coefficient {name!r} must be a list of numbers")
        for value in members:
            check_not_negative(f"coefficient {name!r}", value, MOST_FITTED)
    if len({len(members) for members in coefficients.values()}) != 1:
        raise UsageError("all coefficients must have the same length")
    if not any(map(any, coefficients.values())):
        raise UsageError("all coefficients are 0")
