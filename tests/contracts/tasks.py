"""What the executors are given to do; every task here can travel to another process."""

import errno
import os
import signal
import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bneck.errors import BneckError, DeviceLost, ProxyFailed, UsageError


def square(number: int) -> int:
    return number * number


def node(seconds: float) -> str:
    """The Ray node that it runs on."""
    import ray

    time.sleep(seconds)
    return str(ray.get_runtime_context().get_node_id())


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def fail_on_odd(number: int) -> int:
    if number % 2:
        raise ProxyFailed(f"the loss is nan at step {number}\nsecond line")
    return number


def refuse(number: int) -> int:
    if number == 1:
        raise UsageError("no such folder: /nowhere")
    return number


def machine_fails(number: int) -> int:
    """What a full disk does to a task, as the system says it and as we say it."""
    if number == 1:
        raise OSError(errno.ENOSPC, "No space left on device", "weights")
    if number == 2:
        raise BneckError("cannot write weights: No space left on device")
    return number


def terminal_signals_ignored(_: int) -> list[bool]:
    """Whether this process ignores or blocks Ctrl-C and the end of its terminal."""
    ignored = {signal.SIG_IGN}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return [
        signal.getsignal(one) in ignored or one in blocked for one in (signal.SIGINT, signal.SIGHUP)
    ]


def exhaust_memory(_: int) -> None:
    """What a refused allocation raises; a real one would change how this process allocates."""
    raise MemoryError


def leave(code: int) -> None:
    sys.exit(code)


def unpicklable(_: int) -> object:
    return lambda: None


def ask_a_server() -> None:
    raise ConnectionRefusedError("no database")


class NotSent:
    """Cannot be written for another process."""

    def __reduce__(self) -> str:
        ask_a_server()
        return ""


class NotReceived:
    """Cannot be read by another process."""

    def __reduce__(self) -> tuple[object, ...]:
        return ask_a_server, ()


def not_sent(_: object) -> object:
    return NotSent()


def threads(_: int) -> tuple[str | None, ...]:
    return tuple(os.environ.get(f"{kind}_NUM_THREADS") for kind in ("OMP", "MKL", "OPENBLAS"))


def shown_gpus(_: int) -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


@lru_cache(maxsize=1)
def _loaded() -> float:
    return time.monotonic()


def worker(_: int) -> tuple[int, float]:
    """Where it runs, and when that process loaded what its tasks share."""
    time.sleep(0.02)
    return os.getpid(), _loaded()


@dataclass(frozen=True)
class Loading:
    """Loads something first, as evaluations load their images."""

    seconds: float

    def load(self) -> None:
        if self.seconds < 0:
            raise UsageError("no such folder: /nowhere")
        time.sleep(self.seconds)

    def __call__(self, item: int) -> int:
        return item


@dataclass(frozen=True)
class DiesLoading:
    """Leaves a file and ends its process, as where what is loaded exhausts the memory."""

    folder: Path

    def load(self) -> None:
        (self.folder / str(os.getpid())).touch()
        os._exit(7)

    def __call__(self, item: int) -> int:
        return item


@dataclass(frozen=True)
class DiesLoadingWhereItWorked:
    """Ends each process that has run ``worker``: as if its machine ended in that moment."""

    def load(self) -> None:
        if _loaded.cache_info().currsize:
            os._exit(7)

    def __call__(self, item: int) -> int:
        return item


@dataclass(frozen=True)
class Gated:
    """Waits until there is a file; a minute at most."""

    gate: Path

    def __call__(self, item: int) -> int:
        until = time.monotonic() + 60
        while not self.gate.exists() and time.monotonic() < until:
            time.sleep(0.01)
        return item


@dataclass(frozen=True)
class Traced:
    """Leaves a file for each try, named by item and process; then does as the item says."""

    folder: Path

    def __call__(self, item: str) -> str:
        tries = len(list(self.folder.glob(f"{item}.*")))
        (self.folder / f"{item}.{os.getpid()}.{tries}").touch()
        if item.startswith("hangs"):
            time.sleep(600)
        if item == "dies" or (item == "dies-once" and tries == 0):
            os.kill(os.getpid(), 9)
        if self.gpu_is_lost(item):
            raise DeviceLost("cuda:0 answers no more: CUDA error: an illegal memory access")
        return item

    def gpu_is_lost(self, item: str) -> bool:
        """Whether this process has done an item that ends its GPU, now or before."""
        return item == "ends-gpu" or any(self.folder.glob(f"ends-gpu.{os.getpid()}.*"))

    def tries(self, item: str) -> int:
        return len(list(self.folder.glob(f"{item}.*")))

    def processes(self) -> set[int]:
        return {int(path.name.split(".")[1]) for path in self.folder.iterdir()}


def alive(process: int) -> bool:
    """Whether any of its threads is; one that is left holds its files and pipes open."""
    return any(_runs(stat) for stat in Path(f"/proc/{process}/task").glob("*/stat"))


def _runs(stat: Path) -> bool:
    try:
        status = stat.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


def all_end(processes: set[int], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while any(alive(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def descendants(process: int) -> set[int]:
    """Children, their children, and so on."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found: set[int] = set()
    new = [process]
    while new:
        new = [child for one in new for child in children.get(one, [])]
        found |= set(new)
    return found


def meet_two_others(mark: Path) -> int:
    """How many are in the mark's folder once there are three, or none comes any more."""
    mark.touch()
    until = time.monotonic() + 60
    while (met := len([*mark.parent.iterdir()])) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    return met


def fill_memory(amount: int) -> int:
    """Really take so many bytes, a little at a time."""
    held = []
    for _ in range(amount >> 27):
        held.append(b"\1" * (1 << 27))
        time.sleep(0.05)
    time.sleep(2 if amount else 0)
    return amount
