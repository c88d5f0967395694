"""Things of others that a user names as ``package.module:attr``."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from bneck.errors import UsageError, unknown


def named(kind: str, word: str, known: Iterable[str]) -> Any:
    """What ``package.module:attr`` names.

    Raises:
        UsageError: no such form (lists the ``known`` words of that kind), or nothing to import.
    """
    module, _, attribute = word.partition(":")
    if not attribute:
        raise unknown(kind, word, [*known, "package.module:attr"])
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"no {kind} {word!r}: {error}") from error
