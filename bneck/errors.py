"""Every error that bneck raises on purpose: one line, naming the bad value and what is allowed."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from errno import ENAMETOOLONG

from bneck.text import option_name

LONGEST = 200
"""Characters of a bad word that are shown: one that comes from a file may have any number."""


class BneckError(Exception):
    """A failure at work; the command line prints the message and exits with ``exit_code``."""

    exit_code = 1


class UsageError(BneckError):
    """The user asked for something that cannot be: a bad value, name, file or combination."""

    exit_code = 2


class ProxyFailed(BneckError):
    """An accuracy signal could not score a network (NaN, divergence, a gradient that vanished)."""


class DeviceLost(BneckError):
    """A GPU, or a process that trains together with this one, no longer answers it."""


class UnreadableImages(UsageError):
    """Files of a folder are not whole images; ``files`` has all of them, each with the reason."""

    def __init__(self, message: str, files: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.files = files


class NotReady(UsageError):
    """A stage builds on one that is not done."""


class OutOfReach(UsageError):
    """No narrowing of a network is predicted under a target."""


class NotCalibrated(UsageError):
    """A latency model was asked for a kernel, resolution or runtime it never saw."""


def cannot(act: str, path: object, error: OSError) -> BneckError:
    """Return the error for a file or folder that the system refuses to "read", "write" or "lock".

    A name that is too long is bad usage.

    Args:
        act: what was tried.
        path: the file or folder.
        error: what the system said.
    """
    kind = UsageError if error.errno == ENAMETOOLONG else BneckError
    return kind(f"cannot {act} {path}: {error.strerror or error}")


def refused(error: OSError) -> BneckError:
    """Return the error for a refusal by the system, where it is not known what was tried."""
    if error.filename is None:
        return BneckError(error.strerror or str(error) or type(error).__name__)
    return cannot("use", error.filename, error)


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says; its type's name where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def unknown(kind: str, value: object, known: Iterable[object], more: str = "") -> UsageError:
    """The error for a word that is in no table, listing the words that are, and the nearest one.

    Args:
        kind: what the word should be one of, such as "space".
        value: the word.
        known: the words of the table.
        more: what is said after them.
    """
    words = [str(word) for word in known]
    listed = f"known: {', '.join(words)}{more}{did_you_mean(value, words)}"
    return UsageError(f"unknown {kind} {value!r:.{LONGEST}}; {listed}")


def no_effect(option: str, when: str) -> UsageError:
    """Return the error for an option that was given where it has none, such as "without --json".

    Args:
        option: its name, or that of its field.
        when: where it has none.
    """
    return UsageError(f"--{option_name(option)} has no effect {when}: leave it out")


def did_you_mean(value: object, known: Iterable[str]) -> str:
    """The end of a message about a misspelt word: the nearest known one; "" where none is near."""
    near = get_close_matches(str(value)[:LONGEST], tuple(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
