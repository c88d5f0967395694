"""Locks of files and folders that one process at a time may make, or add to."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bneck.errors import UsageError


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a file or folder.

    Whoever comes second waits for it, or is refused without ``wait``. Whoever holds the lock may
    remove its file; those that waited for it then take the new file's.

    Raises:
        UsageError: another process holds it, and is not waited for.
        OSError: its folder cannot be written.
    """
    how = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open_lock(lock_file(path)) as lock:
            try:
                fcntl.flock(lock, how)
            except BlockingIOError:
                raise UsageError(
                    f"another process is at work on {path}; wait for it or name another file"
                ) from None
            if is_still_at(lock_file(path), lock):
                yield
                return


def lock_file(path: Path) -> Path:
    """Return the empty file whose lock ``locked`` holds."""
    return path.with_name(f".{path.name}.lock")


def open_lock(file: Path) -> IO[bytes]:
    """Open the file of a lock, or make it; not through a link, which may lead to somebody's file.

    Raises:
        OSError: it is a link, or cannot be written.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    return os.fdopen(os.open(file, flags, 0o666), "rb", buffering=0)


def is_still_at(path: Path, file: IO[bytes]) -> bool:
    """Whether ``path`` is the file that was opened there, and was not removed since."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
