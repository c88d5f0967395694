"""Processes that tests start, and what this one has opened."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def started(command: Sequence[str], **more: Any) -> Iterator["subprocess.Popen[str]"]:
    """Start a process with text pipes that does not outlive its test, even one that fails.

    One left behind would fail whatever test runs when it is collected.
    """
    with subprocess.Popen(command, text=True, **more) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until_opened(path: Path, times: int) -> None:
    """Wait until this process has a file open so many times."""
    known, found = path.stat(), 0
    while found < times:
        time.sleep(0.01)
        found = 0
        for number in os.listdir("/dev/fd"):
            with suppress(OSError):  # closed meanwhile
                found += os.path.samestat(known, os.fstat(int(number)))
