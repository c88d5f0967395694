"""The lock of a run's folder: one driver at a time, on all the machines that share it.

Two things keep a second driver out. ``flock`` on ``.lock`` does on one machine, and ends with the
process however it dies. A lease, the file ``.driver``, does where machines share the folder and
their locks do not reach each other: it names the driver and is renewed while it lives.
"""

import _thread
import fcntl
import os
import secrets
import socket
import sys
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO

from bneck import records
from bneck.errors import BneckError, UsageError
from bneck.files import write_json

LOCK, LEASE = ".lock", ".driver"
RENEWED_EVERY_S = 20.0
EXPIRES_AFTER_S = 120.0
_ours: "weakref.WeakSet[Lock]" = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class Driver:
    """Who drives a run.

    Attributes:
        host: the machine's name, and what tells its process numbers from those of others.
        process: its number there.
        began: when that process began, in the system's own count; "" where that is not known.
        since: when it took the run, in UTC.
        token: tells this lease from all others.
    """

    host: str
    process: int
    began: str
    since: str
    token: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host.partition('/')[0]}, since {self.since}"

    @property
    def is_here(self) -> bool:
        """Whether its process number means a process of this machine."""
        return self.host == _host()

    @property
    def lives(self) -> bool:
        """Whether the process is alive; only to be asked where it is here."""
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self.process, 0)
            return self.began == _began(self.process)
        return False


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
            self._driver = _take(folder)
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
        """In a forked worker: close its copy, which would outlive the driver."""
        self._ended.set()
        self._file.close()

    def _renew(self) -> None:
        while not self._ended.wait(RENEWED_EVERY_S):
            held = read_driver(self._folder)
            if held is not None and held.token == self._driver.token:
                with suppress(OSError):
                    os.utime(self._folder / LEASE)
            elif held is not None and not self._ended.is_set():
                print(f"bneck: {held} took over {self._folder}; this one stops", file=sys.stderr)
                _thread.interrupt_main()
                return


def break_lock(folder: Path) -> Driver | None:
    """Remove the lease of a driver that has crashed, and return who that was, if any.

    Raises:
        UsageError: it is at work on this machine.
    """
    driver = read_driver(folder)
    if driver is not None and driver.is_here and driver.lives:
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
    driver = read_driver(folder)
    if driver is None:
        return False
    if driver.is_here:
        return driver.lives
    with suppress(OSError):
        return time.time() - (folder / LEASE).stat().st_mtime < EXPIRES_AFTER_S
    return False


def read_driver(folder: Path) -> Driver | None:
    """Return who holds the lease; None where nobody does, or nothing can be made of it."""
    try:
        return records.read(folder / LEASE, Driver)
    except BneckError:
        return None


def _locked(folder: Path) -> IO[bytes]:
    """``.lock``, locked for this process."""
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        file = os.fdopen(os.open(folder / LOCK, flags, 0o666), "rb+")
    except OSError as error:
        raise BneckError(f"cannot write {folder}: {error.strerror or error}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if isinstance(error, BlockingIOError):
            raise _refused(folder, read_driver(folder)) from None
        raise BneckError(f"cannot lock {folder}: {error.strerror or error}") from error
    return file


def _take(folder: Path) -> Driver:
    """The lease, taken for this process.

    It is linked into place, which is atomic on shared file systems too; one that has expired is
    moved away first, which only one of several drivers can.
    """
    me = os.getpid()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    driver = Driver(_host(), me, _began(me), now, secrets.token_hex(8))
    lease, mine = folder / LEASE, folder / f"{LEASE}.{driver.token}"
    write_json(mine, records.to_json(driver))
    try:
        while True:
            try:
                os.link(mine, lease)
            except FileExistsError:
                _check_abandoned(folder)
                with suppress(FileNotFoundError):
                    lease.rename(folder / f"{LEASE}.{driver.token}.old")
                    (folder / f"{LEASE}.{driver.token}.old").unlink()
            except OSError:  # a file system without links
                write_json(lease, records.to_json(driver))
                return driver
            else:
                return driver
    finally:
        mine.unlink(missing_ok=True)


def _check_abandoned(folder: Path) -> None:
    """Raise UsageError unless the driver that holds the lease is dead, or long silent."""
    driver = read_driver(folder)
    if driver is not None and driver.is_here:
        if driver.lives:
            raise _refused(folder, driver)
    elif (idle_s := _idle_s(folder)) < EXPIRES_AFTER_S:
        raise _refused(folder, driver, EXPIRES_AFTER_S - idle_s)


def _refused(folder: Path, driver: Driver | None, left_s: float | None = None) -> UsageError:
    who = f": {driver}" if driver is not None else ""
    crashed = ""
    if left_s is not None:
        crashed = f"; if it crashed, wait {left_s:.0f} s or run `bneck runs {folder} --break-lock`"
    return UsageError(
        f"another process is at work in {folder}{who}; wait for it or use another --out{crashed}"
    )


def _idle_s(folder: Path) -> float:
    """Seconds since the lease was renewed, by the clock of the file system that keeps it."""
    probe = folder / f"{LEASE}.{secrets.token_hex(4)}.now"
    try:
        renewed = (folder / LEASE).stat().st_mtime
        try:
            probe.touch()
            now = probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)
    except FileNotFoundError:
        return EXPIRES_AFTER_S
    return now - renewed


def _host() -> str:
    """The machine's name, and what tells machines and containers of one name apart."""
    marks = []
    with suppress(OSError):
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        marks.append(os.readlink("/proc/self/ns/pid"))
    return "/".join((socket.gethostname(), *marks))


def _began(process: int) -> str:
    """When a process began, so that another one of its number is not taken for it.

    One that was killed has ended, though whoever started it may not have noticed.
    """
    try:
        state, *facts = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return "ended" if state == "Z" else facts[18]
    except (OSError, IndexError, ValueError):
        return ""


@lru_cache(maxsize=1)
def _forget_in_children() -> None:
    """See to it, once a process, that forked workers let go of the locks of their driver."""

    def forget() -> None:
        for lock in list(_ours):
            lock.forget()

    os.register_at_fork(after_in_child=forget)
