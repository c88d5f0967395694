"""What is given in Python, as the command line would have it: paths, text, numbers."""

import os
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from bneck.derivation.option import OWN
from bneck.errors import UsageError
from bneck.live import TerminalProgress
from bneck.progress import Progress
from bneck.quantities import plain


def as_path(name: str, given: Any) -> Path:
    """Return what was given as a path, ``~`` resolved; an empty one is the working directory.

    Raises:
        UsageError: an empty name, or no path; ``name`` says of which argument.
    """
    if not isinstance(given, str | PathLike):
        raise UsageError(f"{name} must be a path, got {given!r:.60}")
    if given == "":
        raise UsageError(f"{name} must not be empty")
    return Path(os.path.expanduser(given))


def as_option(name: str, given: Any) -> Any:
    """Return the value of an option as a plan holds it: paths as text, NumPy's numbers as ours.

    Raises:
        UsageError: a function or class, which a plan can only name; ``name`` says of which option.
    """
    if callable(given):
        raise UsageError(
            f"{name} must be text, got {given!r:.60}: put it into a module and name it, as {OWN}"
        )
    if isinstance(given, str | PathLike):
        return os.path.expanduser(given)
    return plain(given)


def as_progress(given: Any) -> Progress:
    """Return what is told how far the work is: a function, or the terminal where there is none.

    Raises:
        UsageError: neither.
    """
    if given is None:
        return TerminalProgress()
    if not callable(given):
        raise UsageError(
            f"progress must be a function, or None to show it in the terminal, got {given!r:.60}"
        )
    told: Callable[..., None] = given
    return told
