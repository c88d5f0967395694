"""Objects that a user names as ``package.module:attr``; what a file names is never imported."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from inspect import signature
from typing import Any

from bneck.errors import UsageError, unknown

EXTRAS = {
    "ai_edge_litert": "litert",
    "ai_edge_quantizer": "litert",
    "executorch": "executorch",
    "flatbuffers": "litert",
    "openvino": "openvino",
    "ray": "ray",
}
"""Module -> the extra of this package that installs it."""


class Untrusted(str):
    """Text that was read from a file: it may have been written by somebody else."""

    __slots__ = ()


def load_object(kind: str, word: str, known: Mapping[str, str] | Sequence[str] = ()) -> Any:
    """Import what a word of ``known`` or ``package.module:attr`` names.

    Modules are looked for in the working directory too, after all other places.

    Args:
        kind: what is named, such as "runtime"; for messages.
        word: as it was given on the command line or by a Python caller.
        known: our own words, with the ``module:attr`` of each where there is something to import.

    Raises:
        UsageError: no such word or form, text from a file, nothing to import, or a module that
            raises an error.
    """
    place = known.get(word) if isinstance(known, Mapping) else None
    module, _, attribute = (place or word).partition(":")
    if not attribute:
        raise unknown(kind, word, [*known, "package.module:attr"])
    if place is None:
        if isinstance(word, Untrusted):
            raise UsageError(
                f"a file names the {kind} {word!r}, and what files name is not imported; give it "
                f"as --{kind} if you trust it"
            )
        if "" not in sys.path:
            sys.path.append("")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise cannot_load(kind, word, error) from error
    except Exception as error:  # whatever a user's own module does
        said = f"{type(error).__name__}: {error}"
        raise UsageError(f"cannot load {kind} {word!r}: {said}") from error


def cannot_load(kind: str, word: str, error: Exception) -> UsageError:
    """Return the error for what could not be imported, with the extra that it needs.

    Args:
        kind: what is named, such as "runtime".
        word: as it was given.
        error: of the import.
    """
    missing = str(getattr(error, "name", None)).partition(".")[0]
    hint = f"; pip install 'bneck[{EXTRAS[missing]}]'" if missing in EXTRAS else ""
    return UsageError(f"cannot load {kind} {word!r}: {error}{hint}")


def check_call(kind: str, word: str, made: Any, *arguments: object, **named: object) -> None:
    """Raise UsageError where what a user named cannot be called as its kind is; it is not called.

    Args:
        kind: what is named, such as "runtime".
        word: as it was given.
        made: what was loaded.
        arguments: as many as it is called with; what they are does not matter.
        named: likewise, by their names.
    """
    try:
        signature(made).bind(*arguments, **named)
    except TypeError as error:
        raise UsageError(f"{kind} {word!r} cannot be called as a {kind} is: {error}") from None
    except ValueError:  # what is built in may not tell
        return


def forget_working_directory() -> None:
    """Take the working directory off ``sys.path``, where Python puts it for ``-c`` and ``-m``.

    It stays where this package itself is imported from there.
    """
    here = os.getcwd()
    if here != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
        sys.path[:] = [place for place in sys.path if place not in ("", here)]
