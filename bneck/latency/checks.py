"""Checks of the numbers in files about latency."""

from collections.abc import Mapping, Sequence

from bneck.errors import UsageError
from bneck.space.checks import check_between

MOST = 1e9
"""ms, times the reference, or ms per unit of a feature: beyond what any network takes. Sums and
squares of so large numbers are finite."""


def check_above(name: str, value: float) -> None:
    """``value`` must be above 0, and at most MOST."""
    if value <= 0:
        raise UsageError(f"{name} must be above 0, got {value}")
    check_between(name, value, 0, MOST)


def check_not_negative(name: str, value: float) -> None:
    """``value`` must be 0 or above, and at most MOST."""
    if value < 0:
        raise UsageError(f"{name} must not be negative, got {value}")
    check_between(name, value, 0, MOST)


def check_coefficients(coefficients: Mapping[str, Sequence[float]]) -> None:
    """None negative or above MOST, not all of them 0, as many of each, and some at all."""
    for name, members in coefficients.items():
        if not members:
            raise UsageError(f"coefficient {name!r} must be a list of numbers")
        for value in members:
            check_not_negative(f"coefficient {name!r}", value)
    if len({len(members) for members in coefficients.values()}) != 1:
        raise UsageError("all coefficients must have the same length")
    if not any(map(any, coefficients.values())):
        raise UsageError("all coefficients are 0")
