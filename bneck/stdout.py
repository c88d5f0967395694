"""The stream for what a command was asked for, apart from all else that is printed meanwhile."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TextIO

_results: list[TextIO] = []


@contextmanager
def stdout_for_results() -> Iterator[None]:
    """Send to stderr whatever is printed meanwhile, by this process or those that it starts.

    What is written to ``results()`` goes to stdout.
    """
    out: TextIO | None = sys.stdout
    real = None
    if out is not None:  # closed from the start, its number may be another file's by now
        out.flush()
        with suppress(OSError):  # it was closed since
            real = os.dup(1)
    if out is None or real is None:
        with redirect_stdout(sys.stderr):
            yield
        return
    with os.fdopen(real, "w", encoding="utf-8") as stream:
        _results.append(stream if _descriptor(out) == 1 else out)
        os.dup2(2, 1)
        try:
            with redirect_stdout(sys.stderr):
                yield
        finally:
            _results.pop()
            os.dup2(real, 1)
            stream.flush()


def results() -> TextIO:
    """Return the stream for what a command was asked for."""
    return _results[-1] if _results else sys.stdout


def reader_has_gone() -> bool:
    """Whether stdout or stderr is a pipe that nobody reads any more."""
    polled = select.poll()
    for stream in (sys.stdout, sys.stderr):
        number = _descriptor(stream)
        if number is not None:
            polled.register(number, 0)
    return any(found & (select.POLLERR | select.POLLHUP) for _, found in polled.poll(0))


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
