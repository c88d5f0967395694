"""Paths that are given in Python."""

from os import PathLike
from pathlib import Path
from typing import Any

from bneck.errors import UsageError


def as_path(name: str, given: Any) -> Path:
    """Return what was given as a path; an empty one would be the working directory.

    Raises:
        UsageError: an empty name, or no path; ``name`` says of which argument.
    """
    if not isinstance(given, str | PathLike):
        raise UsageError(f"{name} must be a path, got {given!r}")
    if given == "":
        raise UsageError(f"{name} must not be empty")
    return Path(given)
