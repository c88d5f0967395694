"""Processes that tests start."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
