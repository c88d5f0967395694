"""Where evaluations run: one interface, one file per kind."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol, TypeVar

from bneck.errors import UsageError, first_line
from bneck.executors.reserved import ONE_CPU, Reserved
from bneck.machine import cores
from bneck.space.checks import check_range

MAX_WORKERS = 10_000
REMOTE = re.compile(r"ray://([^:/\s]+):(\d{1,5})")
"""A Ray cluster elsewhere: its host and client port."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Failed:
    """An item that could not be evaluated, and why, in one line."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotYet:
    """Stands in a stream of items where the next one depends on results that are not in yet.

    Attributes:
        more: how many items there would be at once if there were workers for them.
    """

    more: int = 0


NOT_YET = NotYet()


class Executor(Protocol):
    """Runs a task over items. A lost worker is a retried item, never a lost run."""

    @property
    def workers(self) -> int:
        """How many items may run at once at this time; a cluster may grow and shrink."""
        ...

    def map_unordered(
        self, task: Callable[[Item], Result], items: Iterable[Item | NotYet]
    ) -> Iterator[tuple[Item, Result | Failed]]:
        """Yield (item, its result) as they finish, each item once.

        Args:
            task: what is done with each item, in the workers.
            items: taken one by one as workers become free, and ahead of that while nothing else is
                to do. Where the next item depends on results under way, the stream yields
                ``NOT_YET``; it is asked again once a further result has been returned, or there
                are more workers.

        Raises:
            UsageError: a task found that the user's request cannot be served.
            BneckError: a worker's machine failed, such as its disk, or no worker can be started.
        """
        ...

    def rest(self) -> None:
        """Stop idle workers, so that others may have what they hold; new ones are started."""
        ...

    def close(self) -> None:
        """Stop all workers."""
        ...


def reason(error: BaseException) -> str:
    """One line that says what went wrong."""
    kind, said = type(error).__name__, first_line(error)
    return kind if said == kind else f"{kind}: {said}"


def open_executor(
    workers: int | None = None,
    *,
    ray: str | None = None,
    reserved: Reserved = ONE_CPU,
    time_limit_s: float | None = None,
    device: str = "cpu",
    imported: Sequence[str] = (),
    together: int = 0,
) -> Executor:
    """The executor that was asked for; close it when the work is done.

    Args:
        workers: how many evaluations run at once; None takes all cores (of the cluster, for Ray),
            but no more than four for each GPU.
        ray: ``auto``, ``local`` or ``ray://HOST:PORT``; None stays on this machine without Ray.
        reserved: what Ray keeps for each evaluation.
        time_limit_s: an evaluation that takes longer fails.
        device: what the evaluations train on; without Ray, workers share this machine's GPUs, with
            Ray the cluster must have one for "cuda".
        imported: modules that tasks need, which processes of this machine share in memory.
        together: workers of ``open_together`` that a Ray of this machine must have CPUs for, too.

    Raises:
        UsageError: a value out of range, a cluster that does not answer or lacks CPUs or GPUs.
    """
    check(workers, ray, reserved, time_limit_s)
    if ray is not None:
        from bneck.executors.ray import on_ray

        return on_ray(
            ray,
            workers,
            reserved=reserved,
            time_limit_s=time_limit_s,
            device=device,
            together=together,
        )
    from bneck.executors.gpus import WORKERS_PER_GPU, gpus_for, shares
    from bneck.executors.processes import processes
    from bneck.executors.serial import Serial

    gpus = gpus_for(device)
    most = min(cores(), WORKERS_PER_GPU * gpus) if gpus else cores()
    count = workers or most
    if count == 1 and time_limit_s is None:  # nothing has to be stopped
        return Serial()
    environments = shares(device, count)
    return processes(count, time_limit_s=time_limit_s, environments=environments, imported=imported)


def check(
    workers: int | None, ray: str | None, reserved: Reserved, time_limit_s: float | None
) -> None:
    """Raise UsageError for what ``open_executor`` cannot be asked, before anything is started.

    Args:
        workers: how many evaluations run at once, 1 to ``MAX_WORKERS``; None takes all cores.
        ray: ``auto``, ``local`` or ``ray://HOST:PORT``; None is without Ray.
        reserved: CPUs and GPUs for each evaluation; other than one CPU only with Ray.
        time_limit_s: seconds that an evaluation may take, above 0; None sets no limit.
    """
    if workers is not None:
        check_range("workers", workers, 1, MAX_WORKERS)
    if time_limit_s is not None and not time_limit_s > 0:
        raise UsageError(f"time-limit must be above 0 s, got {time_limit_s:g}")
    if ray is None:
        if reserved.gpus:
            raise UsageError("--gpus-per-trial needs --ray, which hands the GPUs out")
        if reserved.cpus != 1:
            raise UsageError("--cpus-per-trial needs --ray, which hands the CPUs out")
    elif ray not in ("auto", "local") and REMOTE.fullmatch(ray) is None:
        raise UsageError(f"ray must be auto, local or ray://HOST:PORT, got {ray!r}")
    elif find_spec("ray") is None:
        raise UsageError("--ray needs Ray, which is not installed: pip install 'bneck[ray]'")


def open_together(
    count: int, device: str, *, ray: str | None = None, imported: Sequence[str] = ()
) -> Executor:
    """Return an executor of ``count`` workers that share each item, on a GPU each or on CPUs.

    Args:
        count: of workers.
        device: a ``Compute.device``, but not one GPU of several.
        ray: as for ``open_executor``; None stays on this machine.
        imported: as for ``open_executor``.

    Raises:
        UsageError: too few GPUs, or a cluster that does not answer.
    """
    from bneck.executors.gpus import check_together, one_each
    from bneck.executors.together import Together

    if ray is not None:
        from bneck.executors.ray import together_on_ray

        check_together(device, count)
        return together_on_ray(ray, count, device)
    from bneck.executors.processes import Processes

    return Together(Processes(count, one_each(device, count), imported), count)
