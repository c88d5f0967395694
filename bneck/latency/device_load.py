"""How busy a device is with anything else, for latencies that are measured meanwhile."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bneck.latency.timing import MAX_MINUTES
from bneck.live import warn
from bneck.progress import Progress, silent
from bneck.space.checks import check_between
from bneck.units import as_percent

_STAT = Path("/proc/stat")
BUSY_CORES = 0.5
"""Cores' worth of other programs beyond which they take caches and memory from what is timed."""
STOLEN = 0.02
"""Share of the time that other guests of a virtual machine's host may take."""
THROTTLED = 0.15
"""Share by which the reference may become slower before it is said."""
LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class Load:
    """What else a machine did during some time.

    Attributes:
        other_cores: cores' worth of time that other programs used.
        stolen: share of the time that the hypervisor gave to other guests.
        slowed: how much slower the same runs became meanwhile, as a share: heat, most likely.
    """

    other_cores: float
    stolen: float
    slowed: float = 0.0

    @property
    def quiet(self) -> bool:
        """Whether latencies measured meanwhile are those of a quiet machine."""
        busy = self.other_cores > BUSY_CORES or self.stolen > STOLEN
        return not busy and self.slowed <= THROTTLED

    def __str__(self) -> str:
        words = []
        if self.other_cores > BUSY_CORES:
            words.append(f"other programs used {self.other_cores:.1f} cores")
        if self.stolen > STOLEN:
            words.append(
                f"other guests of this virtual machine's host took {as_percent(self.stolen)}"
            )
        if self.slowed > THROTTLED:
            words.append(
                f"the device became {as_percent(self.slowed)} slower, as those do that throttle"
            )
        return " and ".join(words)


QUIET = Load(0.0, 0.0)


class LoadWatch:
    """Watches from when it is made; on systems without /proc it sees nothing."""

    def __init__(self) -> None:
        self._begun = _now()

    def load(self) -> Load:
        """Return what else the machine did since the watch began."""
        now = _now()
        if now is None or self._begun is None:
            return QUIET
        seconds, used, stolen, own = (a - b for a, b in zip(now, self._begun, strict=True))
        if seconds <= 0:
            return QUIET
        cores = os.cpu_count() or 1
        return Load(max(0.0, used - own) / seconds, max(0.0, stolen) / seconds / cores)


def _now() -> tuple[float, float, float, float] | None:
    """Seconds: of the wall, of all cores in use, stolen from all cores, of this process."""
    try:
        words = _STAT.read_text().split("\n", 1)[0].split()
        user, nice, system, _, _, irq, softirq, stolen = (int(word) for word in words[1:9])
    except (OSError, ValueError):
        return None
    tick = os.sysconf("SC_CLK_TCK")
    own = os.times()
    return (
        time.monotonic(),
        (user + nice + system + irq + softirq) / tick,
        stolen / tick,
        own.user + own.system,
    )


def is_told() -> bool:
    """Return whether this system tells how busy it is, as Linux does."""
    return _now() is not None


def wait_until_quiet(
    watch: Callable[[], Callable[[], Load]], minutes: float, progress: Progress = silent
) -> None:
    """Wait until nothing else keeps a device busy, and say on stderr where something still does.

    Args:
        watch: a device's; it returns a call that tells what else the device did since.
        minutes: to wait at most; each look takes some seconds, and none is taken in 0 minutes.
        progress: is told what the device is busy with.

    Raises:
        UsageError: minutes that cannot be.
    """
    check_between("wait-quiet", minutes, 0, MAX_MINUTES)
    if minutes <= 0:
        return
    until = time.monotonic() + 60 * minutes
    while True:
        seen = watch()
        time.sleep(LOOK_S)
        load = seen()
        left = until - time.monotonic()
        if load.quiet:
            return
        if left <= 0:
            waited = f"{minutes:g} minute{'s' * (minutes != 1)}"
            warn(f"the device did not become quiet within {waited}: {load}")
            return
        progress(
            "waiting for a quiet device (s)", int(60 * minutes - left), int(60 * minutes), str(load)
        )
