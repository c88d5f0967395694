"""Checks that every value type of the space shares; each raises UsageError naming the bad value.

``what`` is what the error calls the value.
"""

from collections.abc import Iterable
from math import inf
from numbers import Real

from bneck.errors import UsageError, unknown

MAX_CHANNELS = 16384
MIN_PX, MAX_PX = 8, 2048


def check_range(what: str, value: object, low: int, high: int | None = None) -> None:
    """``value`` must be an int (no bool) from ``low`` to ``high``, or from ``low`` on."""
    most = inf if high is None else high
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= most:
        to = "on" if high is None else f"to {high}"
        raise UsageError(f"{what} must be a whole number from {low} {to}, got {value!r:.60}")


def check_between(what: str, value: float, low: float, high: float) -> None:
    """``value`` must be a number from ``low`` to ``high``."""
    if not (_is_number(value) and low <= value <= high):
        raise UsageError(f"{what} must be a number from {low:g} to {high:g}, got {value!r:.60}")


def check_above_zero(what: str, value: float, high: float) -> None:
    """``value`` must be a number above 0, and at most ``high``."""
    if not (_is_number(value) and 0 < value <= high):
        raise UsageError(f"{what} must be a number above 0 and at most {high:g}, got {value!r:.60}")


def check_channels(what: str, value: object) -> None:
    """``value`` must be a usable channel count."""
    check_range(what, value, 1, MAX_CHANNELS)


def check_kernel(value: object) -> None:
    """Kernels are odd, so that padding by half of them keeps the centre."""
    check_range("kernel", value, 1, 31)
    if isinstance(value, int) and value % 2 == 0:
        raise UsageError(f"kernel must be odd, got {value}")


def check_stride(value: object) -> None:
    """Strides are 1 or 2."""
    check_range("stride", value, 1, 2)


def check_resolution(value: object) -> None:
    """Input sides are 8 to 2048 px."""
    check_range("resolution", value, MIN_PX, MAX_PX)


def check_classes(value: object) -> None:
    """Networks tell 2 to 100,000 classes apart."""
    check_range("classes", value, 2, 100_000)


def check_word(what: str, value: object, known: Iterable[str]) -> None:
    """``value`` must be one of ``known``."""
    if value not in tuple(known):
        raise unknown(what, value, known)


def _is_number(value: object) -> bool:
    """Whether it can be compared with numbers: what Python is given may be text."""
    return isinstance(value, Real) and not isinstance(value, bool)
