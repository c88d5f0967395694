"""The lock of a run's folder: one driver at a time, on all the machines that share it.

Two things keep a second driver out. ``flock`` on ``.lock`` does on one machine, and ends with the
process however it dies. A lease (``bneck.results.lease``) does where machines share the folder and
their locks do not reach each other.
"""

import fcntl
import os
import sys
import threading
import weakref
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

from bneck import live
from bneck.errors import UsageError, cannot
from bneck.locks import is_still_at, open_lock
from bneck.results import lease
from bneck.results.lease import LEASE, Driver, read_driver
from bneck.results.run_folder import check_files

LOCK = ".lock"
_ours: "weakref.WeakSet[Lock]" = weakref.WeakSet()


class Lock:
    """A held lock; a process that dies lets go of it.

    Raises:
        UsageError: another driver is at work, or the folder is not one for a run.
        BneckError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = _locked(folder)
        try:
            self._driver = lease.take(folder)
        except BaseException:
            self._file.close()
            raise
        self._ended = threading.Event()
        _forget_in_children()
        _ours.add(self)
        threading.Thread(target=self._renew, name="run's lease", daemon=True).start()

    def close(self) -> None:
        """Let go of the lock."""
        self._ended.set()
        _ours.discard(self)
        if not self._file.closed:
            if (held := read_driver(self._folder)) and held.token == self._driver.token:
                (self._folder / LEASE).unlink(missing_ok=True)
            self._file.close()

    def forget(self) -> None:
        """Close a forked worker's copy, which would outlive the driver."""
        self._ended.set()
        self._file.close()

    def _renew(self) -> None:
        while not self._ended.wait(lease.RENEWED_EVERY_S):
            held = read_driver(self._folder)
            if held is not None and held.token == self._driver.token:
                with suppress(OSError):
                    os.utime(self._folder / LEASE)
                continue
            elsewhere = f"{held} took over {self._folder}" if held is not None else ""
            if held is None and all(_is_gone(self._folder / name) for name in (LEASE, LOCK)):
                elsewhere = f"{self._folder} was moved or removed"
            if elsewhere and not self._ended.is_set():
                print(f"bneck: {elsewhere}; this one stops", file=sys.stderr)
                live.stop()
                return


def break_lock(folder: Path) -> Driver | None:
    """Remove the lease of a driver that has crashed, and return who that was, if any.

    Raises:
        UsageError: it is at work on this machine, or something in the folder is not a file.
    """
    check_files(folder)
    driver = read_driver(folder)
    if driver is not None and driver.is_here() and driver.drives(folder):
        raise UsageError(f"{folder} is not abandoned: {driver} is at work")
    (folder / LEASE).unlink(missing_ok=True)
    return driver


def is_held(folder: Path) -> bool:
    """Whether a driver is at work in the folder."""
    try:
        with suppress(FileNotFoundError, PermissionError), (folder / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return lease.is_in_force(folder)


def _is_gone(path: Path) -> bool:
    """Whether there is no such file, as far as the system can tell at this time."""
    try:
        path.lstat()
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


def _locked(folder: Path) -> IO[bytes]:
    """``.lock``, locked for this process."""
    while not is_still_at(folder / LOCK, file := _locked_once(folder)):
        file.close()  # of a run that failed at once, and whose driver has removed what it began
    return file


def _locked_once(folder: Path) -> IO[bytes]:
    try:
        file = open_lock(folder / LOCK)
    except OSError as error:
        raise cannot("write", folder, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if isinstance(error, BlockingIOError):
            raise lease.refused(folder, read_driver(folder)) from None
        raise cannot("lock", folder, error) from error
    return file


@lru_cache(maxsize=1)
def _forget_in_children() -> None:
    """Make sure, once per process, that forked workers let go of the locks of their driver."""

    def forget() -> None:
        for lock in list(_ours):
            lock.forget()

    os.register_at_fork(after_in_child=forget)
