"""What long work says meanwhile; who shows it, and how, is the caller's choice."""

from typing import Protocol


class Progress(Protocol):
    """Called by long work as it advances."""

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None:
        """``done`` of ``total`` items of ``what`` are finished; ``note`` is the latest news."""


def silent(what: str, done: int, total: int, note: str = "") -> None:
    """Progress for callers that do not want any."""
