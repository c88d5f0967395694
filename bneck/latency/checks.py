"""Checks of the numbers in files about latency."""

from typing import Any

from bneck.errors import UsageError
from bneck.quantities import is_finite


def check_number(name: str, value: object) -> None:
    """``value`` must be a finite number, and no bool."""
    if not is_finite(value):
        raise UsageError(f"{name} must be a finite number, got {value!r:.40}")


def check_above(name: str, value: float) -> None:
    """``value`` must be above 0."""
    if value <= 0:
        raise UsageError(f"{name} must be above 0, got {value}")


def check_not_negative(name: str, value: float) -> None:
    """``value`` must be 0 or above."""
    if value < 0:
        raise UsageError(f"{name} must not be negative, got {value}")


def check_coefficients(coefficients: dict[str, Any]) -> None:
    """Each a list of numbers, none negative, all of one length."""
    lengths, total = set(), 0.0
    for name, members in coefficients.items():
        if not isinstance(members, list) or not members:
            raise UsageError(f"coefficient {name!r} must be a list of numbers")
        for value in members:
            check_number(f"coefficient {name!r}", value)
            check_not_negative(f"coefficient {name!r}", value)
            total += value
        lengths.add(len(members))
    if len(lengths) != 1:
        raise UsageError("all coefficients must have the same length")
    if not total:
        raise UsageError("all coefficients are 0")


def check_seen(seen: dict[str, Any]) -> None:
    """Each a pair of numbers."""
    for name, widths in seen.items():
        if not isinstance(widths, list) or len(widths) != 2:
            raise UsageError(f"seen {name!r} must be two widths, got {widths!r:.40}")
        for width in widths:
            check_number(f"seen {name!r}", width)
