"""JSON objects as dataclasses, checked field by field."""

from dataclasses import fields
from math import isfinite
from typing import Any

from bneck.errors import UsageError, unknown

_SIMPLE: dict[Any, Any] = {int: int, float: (int, float), str: str, bool: bool}


def typed(kind: type, content: Any) -> dict[str, Any]:
    """The public fields of a dataclass: all there, none foreign, simple ones of their type.

    Raises:
        UsageError: names the first field that is not so.
    """
    if not isinstance(content, dict):
        raise UsageError(f"{kind.__name__} must be an object, got {content!r:.40}")
    declared = {item.name: item.type for item in fields(kind) if not item.name.startswith("_")}
    for name in content:
        if name not in declared:
            raise unknown("key", name, declared)
    for name, declared_type in declared.items():
        if name not in content:
            raise UsageError(f"the key {name!r} is missing")
        value, wanted = content[name], _SIMPLE.get(declared_type, (dict, list))
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise UsageError(f"{name} has the wrong type: {value!r:.40}")
        if declared_type in (int, float):
            check_number(name, value)
    return dict(content)


def check_number(name: str, value: object) -> None:
    """``value`` must be a finite number, and no bool."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
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
        raise UsageError("coefficients must all have as many members")
    if not total:
        raise UsageError("all coefficients are 0")


def check_seen(seen: dict[str, Any]) -> None:
    """Each a pair of numbers."""
    for name, widths in seen.items():
        if not isinstance(widths, list) or len(widths) != 2:
            raise UsageError(f"seen {name!r} must be two widths, got {widths!r:.40}")
        for width in widths:
            check_number(f"seen {name!r}", width)
