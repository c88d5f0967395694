"""Folders that this process may not look into, or not write to, as those of another user."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def unseen(folder: Path) -> Iterator[None]:
    """Let nothing in ``folder`` be seen inside the block, also where the tests run as root."""
    with _as_nobody(folder, 0):
        yield


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nothing be written into ``folder`` inside the block, also where the tests run as root.

    Nobody must be able to reach it: from the working directory by a relative path.
    """
    with _as_nobody(folder, 0o555):
        yield


@contextmanager
def _as_nobody(folder: Path, mode: int) -> Iterator[None]:
    root = os.geteuid() == 0
    folder.chmod(mode)
    if root:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)
        folder.chmod(0o700)
