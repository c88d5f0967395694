"""The lease of a run's folder, the file ``.driver``: who drives it, on whatever machine.

It is renewed while the driver lives. One of this machine holds until its process has ended, one of
another until it was not renewed for a while.
"""

import os
import secrets
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from bneck import records
from bneck.errors import BneckError, UsageError

LEASE = ".driver"
RENEWED_EVERY_S = 20.0
EXPIRES_AFTER_S = 120.0


@dataclass(frozen=True, slots=True)
class Driver:
    """Who drives a run.

    Attributes:
        host: the machine's name, and what tells its process numbers from those of others.
        process: its number there.
        began: when that process began, in the system's own count; "" where that is not known.
        since: when it took the run, in UTC.
        token: tells this lease from all others.
        folder: number of the run's folder in its file system, which a copy of the run does not
            share, and a second mount does; 0 where an earlier version has not noted it.
    """

    host: str
    process: int
    began: str
    since: str
    token: str
    folder: int = 0

    def __str__(self) -> str:
        return f"process {self.process} on {self.host.partition('/')[0]}, since {self.since}"

    def is_here(self) -> bool:
        """Whether its process number means a process of this machine."""
        return self.host == _host()

    def lives(self) -> bool:
        """Whether the process is alive; only to be asked where it is here."""
        with suppress(ProcessLookupError):
            with suppress(PermissionError):  # another user's, which lives too
                os.kill(self.process, 0)
            return self.began == _began(self.process)
        return False

    def drives(self, folder: Path) -> bool:
        """Whether the process is alive, and the lease not that of a run of which this is a copy.

        Only to be asked where it is here.
        """
        return self.lives() and self.folder in (0, folder.stat().st_ino)


def read_driver(folder: Path) -> Driver | None:
    """Return who holds the lease; None where nobody does, or the file makes no sense."""
    return _driver_in(folder / LEASE)


def _driver_in(file: Path) -> Driver | None:
    try:
        return records.read(file, Driver)
    except BneckError:
        return None


def is_in_force(folder: Path) -> bool:
    """Whether a lease keeps others out: its driver lives, or has renewed it lately."""
    driver = read_driver(folder)
    if driver is None:
        return False
    if driver.is_here():
        return driver.drives(folder)
    with suppress(OSError):
        return time.time() - (folder / LEASE).stat().st_mtime < EXPIRES_AFTER_S
    return False


def take(folder: Path) -> Driver:
    """Take the lease for this process, and return who holds it now.

    It is linked into place, which is atomic on shared file systems too; one that has expired is
    moved away first, and put back where another driver has replaced it meanwhile.

    Raises:
        UsageError: another driver holds it.
        BneckError: the folder cannot be written.
    """
    _remove_left(folder)
    me = os.getpid()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    driver = Driver(_host(), me, _began(me), now, secrets.token_hex(8), folder.stat().st_ino)
    lease, mine = folder / LEASE, folder / f"{LEASE}.{driver.token}"
    records.write(mine, driver)
    try:
        while True:
            try:
                os.link(mine, lease)
            except FileExistsError:
                abandoned = _check_abandoned(folder)
                _move_away(lease, folder / f"{LEASE}.{driver.token}.old", abandoned)
            except OSError:  # a file system without links
                records.write(lease, driver)
                return driver
            else:
                return driver
    finally:
        mine.unlink(missing_ok=True)


def _remove_left(folder: Path) -> None:
    """Remove what drivers left beside the lease that were killed while they took it."""
    for path in folder.glob(f"{LEASE}.*"):
        driver = _driver_in(path)
        if driver is not None and driver.is_here():
            is_left = not driver.drives(folder)
        else:
            is_left = _idle_s(path) >= EXPIRES_AFTER_S
        if is_left:
            path.unlink(missing_ok=True)


def _move_away(lease: Path, old: Path, abandoned: Driver | None) -> None:
    """Remove an abandoned lease by way of ``old``, unless another driver has taken it since.

    Raises:
        UsageError: it has.
    """
    with suppress(FileNotFoundError):
        lease.rename(old)
        moved = _driver_in(old)
        try:
            if moved != abandoned:
                with suppress(FileExistsError):
                    os.link(old, lease)
                raise refused(lease.parent, moved)
        finally:
            old.unlink(missing_ok=True)


def _check_abandoned(folder: Path) -> Driver | None:
    """Return who held the lease, if that can be told, and is dead or long silent.

    Raises:
        UsageError: it is neither.
    """
    driver = read_driver(folder)
    if driver is not None and driver.is_here():
        if driver.drives(folder):
            raise refused(folder, driver)
    elif (idle_s := _idle_s(folder / LEASE)) < EXPIRES_AFTER_S:
        raise refused(folder, driver, EXPIRES_AFTER_S - idle_s)
    return driver


def refused(folder: Path, driver: Driver | None, left_s: float | None = None) -> UsageError:
    """Return the error for a folder in which another driver is at work.

    Args:
        folder: the run's.
        driver: that other one, where it is known.
        left_s: seconds until its lease expires; None where it is alive for certain.
    """
    who = f": {driver}" if driver is not None else ""
    crashed = ""
    if left_s is not None:
        free = f"bneck runs {quote(str(folder))} --break-lock"
        crashed = f"; if it crashed, wait {left_s:.0f} s or run `{free}`"
    return UsageError(
        f"another process is at work in {folder}{who}; wait for it or use another --out{crashed}"
    )


def _idle_s(lease: Path) -> float:
    """Seconds since a lease was renewed, by the clock of the file system that keeps it."""
    probe = lease.with_name(f"{LEASE}.{secrets.token_hex(4)}.now")
    try:
        renewed = lease.stat().st_mtime
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
