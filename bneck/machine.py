"""The machine that a process runs on, and which part of it a training may use."""

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bneck.errors import UsageError

DEVICES = "auto, cpu, cuda, cuda:N"
GPU_SHARE = "BNECK_GPU_SHARE"
"""Variable in a worker's environment: the share of a GPU's memory that it may take."""
_CGROUP = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Compute:
    """Where trainings run: passed wherever training happens.

    Attributes:
        device: "cpu", "cuda" (the current GPU), "cuda:N" (GPU number N), or "auto": a GPU where
            there is one.
        threads: CPU threads of one training; None is the faster of one and all cores.

    Raises:
        UsageError: another device.
    """

    device: str = "cpu"
    threads: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", self.device):
            raise UsageError(f"unknown device {self.device!r}; known: {DEVICES}")


CPU = Compute()
ONE_THREAD = Compute(threads=1)


def gpu_share() -> float:
    """Return the share of a GPU's memory that this process may take, above 0 and at most 1."""
    return float(os.environ.get(GPU_SHARE, "1"))


@contextmanager
def gpu_shared_by(processes: int) -> Iterator[None]:
    """Let this process take one of ``processes`` equal shares of its GPU inside the block.

    Args:
        processes: that use its GPU; 0 leaves it the share that it has.
    """
    before = os.environ.get(GPU_SHARE)
    if processes:
        os.environ[GPU_SHARE] = repr(1 / processes)
    try:
        yield
    finally:
        os.environ.pop(GPU_SHARE, None)
        if before is not None:
            os.environ[GPU_SHARE] = before


def cores() -> int:
    """Return how many cores this process may use: its affinity and its container's CPU quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([allowed or 1, *map(int, _quotas())]))


def _quotas() -> list[float]:
    """Cores' worth of time that the control groups of this process grant."""
    found: list[float] = []
    for group in _control_groups():
        with suppress(OSError, ValueError):  # no such file, or "max": no limit
            quota, period = (group / "cpu.max").read_text().split()
            found.append(float(quota) / float(period))
    with suppress(OSError, ValueError):  # version 1 of control groups, as a container sees its own
        quota, period = (
            (_CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
        )
        if float(quota) > 0:
            found.append(float(quota) / float(period))
    return found


def memory_bytes() -> int:
    """Return how much memory this process may fill: the machine's, or its control groups' limit."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    limits = [group / "memory.max" for group in _control_groups()]
    for limit in (*limits, _CGROUP / "memory" / "memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # no such file, or "max": no limit
            found.append(int(limit.read_text()))
    return min(found)


def _control_groups() -> list[Path]:
    """Folders of the control groups (version 2) that this process is in, its own first."""
    lines: list[str] = []
    with suppress(OSError):  # not on Linux
        lines = _OWN_CGROUP.read_text().splitlines()
    inside = next((line.removeprefix("0::/") for line in lines if line.startswith("0::")), "")
    own = _CGROUP / inside
    return [own, *own.parents]


def cpu_name() -> str:
    """Return the CPU's name as the system gives it, or its architecture where it gives none.

    ARM systems give numbers for the maker and the part of each kind of core: they are appended to
    the board's name, for boards of one name differ in them, and boards of one part in their name.
    """
    return cpu_of(text_of("/proc/cpuinfo"), text_of("/proc/device-tree/model")) or (
        platform.processor() or platform.machine() or "unknown CPU"
    )


def text_of(path: str) -> str:
    """Return what the system says in a file, or nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def cpu_of(cpuinfo: str, board: str) -> str:
    """Return the name that ``/proc/cpuinfo`` and the device tree give, or nothing."""
    found: dict[str, list[str]] = {}
    for line in cpuinfo.splitlines():
        field, _, value = line.partition(":")
        if value.strip():
            found.setdefault(field.strip(), []).append(value.strip())
    parts = list(zip(found.get("CPU implementer", []), found.get("CPU part", []), strict=False))
    kinds = sorted({f"{maker}/{part}" for maker, part in parts})
    if not kinds and "model name" in found:
        return found["model name"][0]
    named = [board.strip("\0 \n"), *found.get("Model", []), *found.get("Hardware", [])]
    name = next((one for one in named if one), "")
    return f"{name or 'ARM'} ({', '.join(kinds)})" if kinds else name


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait, unless the user decided otherwise.

    Spinning threads make a training ten times slower as soon as a neighbour wants their core. To be
    called before torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
