"""Workers of one kind, each with one item at a time: retries, time limits and clean ends."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Generic, Protocol, TypeVar

from bneck.errors import BneckError, UsageError
from bneck.executors import Failed, Item, Result, reason

TRIES = 3
START_SECONDS = 600.0


class Lost(Exception):
    """A worker is gone; the message says how."""


@dataclass(frozen=True, slots=True)
class Refused:
    """News of a worker that found that the user's request cannot be served."""

    message: str


class Worker(Protocol):
    """Starts by itself; has news once it is up, then once for each item it is given."""

    def give(self, task: Callable[[Any], Any], item: Any) -> None:
        """Hand over one item; raises Lost."""

    def news(self) -> Any:
        """The result, Failed or Refused; None or Refused when it is up. Raises Lost."""

    def kill(self) -> None:
        """Stop at once, in the middle of whatever it does."""


W = TypeVar("W", bound=Worker)


class Crew(Protocol[W]):
    """A kind of worker."""

    def start(self) -> W: ...

    def wait(self, workers: Sequence[W], seconds: float | None) -> Sequence[W]:
        """Those with news or lost, none after so many seconds."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Start:
    """A worker that comes up (no task), or that loads what a task needs."""

    since: float
    task: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class _Job:
    index: int
    until: float


class Pool(Generic[W]):
    """An executor over the workers of a crew, which stay up between calls.

    An item whose worker is lost is given to another; at the third loss it fails. The time limit
    is for an item alone: a worker imports a task's code, and calls its ``load()`` if it has one,
    before its first item.
    """

    def __init__(self, crew: Crew[W], workers: int, *, time_limit_s: float | None = None) -> None:
        self.workers = workers
        self._crew = crew
        self._limit_s = inf if time_limit_s is None else time_limit_s
        self._starting: dict[W, _Start] = {}
        self._idle: dict[W, Callable[[Any], Any] | None] = {}  # with the task it has loaded
        self._busy: dict[W, _Job] = {}
        self._stillborn = 0

    def map_unordered(
        self, task: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Result | Failed]]:
        """(item, its result) as they finish; whatever ends this early stops the busy workers."""
        waiting = deque(range(len(items)))
        losses = [0] * len(items)
        try:
            while waiting or self._busy:
                self._hand_out(task, items, waiting)
                heard = self._crew.wait([*self._starting, *self._busy], self._patience_s())
                late = self._late(heard)
                for worker in heard:
                    if worker in self._starting:
                        self._welcome(worker)
                        continue
                    outcome = self._outcome(worker, task)
                    index = self._busy.pop(worker).index
                    if isinstance(outcome, Lost):
                        losses[index] += 1
                        if losses[index] < TRIES:
                            waiting.append(index)
                            continue
                        outcome = Failed(f"{outcome}, {TRIES} times")
                    self._hand_out(task, items, waiting)
                    yield items[index], outcome
                for worker in late:
                    worker.kill()
                    index = self._busy.pop(worker).index
                    yield items[index], Failed(f"stopped at the time limit of {self._limit_s:g} s")
        finally:
            self._stop(self._busy)

    def close(self) -> None:
        """Stop all workers."""
        self._stop(self._busy)
        self._stop(self._starting)
        self._stop(self._idle)
        self._crew.close()

    def _hand_out(
        self, task: Callable[[Any], Any], items: Sequence[Any], waiting: deque[int]
    ) -> None:
        """Give items to idle workers; start workers for the rest, as far as there may be more."""
        while waiting and self._idle:
            worker, loaded = self._idle.popitem()
            now = time.monotonic()
            try:
                if loaded == task:
                    worker.give(task, items[waiting[0]])
                    self._busy[worker] = _Job(waiting.popleft(), now + self._limit_s)
                else:
                    worker.give(load, task)
                    self._starting[worker] = _Start(now, task)
            except Lost:
                worker.kill()
        free = self.workers - len(self._busy) if waiting else 0
        for _ in range(min(len(waiting), free) - len(self._starting)):
            self._starting[self._crew.start()] = _Start(time.monotonic())

    def _welcome(self, worker: W) -> None:
        """A worker is up or has loaded its task; the third loss in a row ends the work."""
        start = self._starting.pop(worker)
        outcome = self._outcome(worker, start.task)
        if not isinstance(outcome, Lost):
            self._stillborn = 0 if start.task else self._stillborn
            return
        self._stillborn += 1
        if self._stillborn >= TRIES:
            raise BneckError(f"no worker can be started: {outcome}")

    def _outcome(self, worker: W, loaded: Callable[[Any], Any] | None) -> Any:
        """What a worker has to say, which is idle then, or how it was lost."""
        try:
            news = worker.news()
        except Lost as loss:
            worker.kill()
            return loss
        if isinstance(news, Refused):
            worker.kill()
            raise UsageError(news.message)
        self._idle[worker] = loaded
        return news

    def _late(self, heard: Sequence[W]) -> list[W]:
        now = time.monotonic()
        if not self._busy and self._first_start() < now - START_SECONDS:
            raise BneckError(f"no worker came up in {START_SECONDS:g} s: no free CPU or GPU")
        return [w for w, job in self._busy.items() if job.until <= now and w not in heard]

    def _patience_s(self) -> float | None:
        """Seconds until a worker has to be looked after even if none has news."""
        if self._busy:
            soonest = min(job.until for job in self._busy.values())
        else:
            soonest = self._first_start() + START_SECONDS
        return None if soonest == inf else max(0.0, soonest - time.monotonic())

    def _first_start(self) -> float:
        return min((start.since for start in self._starting.values()), default=inf)

    @staticmethod
    def _stop(workers: dict[W, Any]) -> None:
        while workers:
            workers.popitem()[0].kill()


def load(task: Callable[[Any], Any]) -> None:
    """What comes before a worker's first item of a task: only to be unpickled imports its code."""
    if hasattr(task, "load"):
        task.load()


def attempt(task: Callable[[Item], Result], item: Item) -> Result | Failed | Refused:
    """Run the task; whatever it raises becomes a value that travels."""
    try:
        return task(item)
    except UsageError as error:
        return Refused(str(error))
    except (Exception, SystemExit) as error:
        return Failed(reason(error))


def pin_threads() -> None:
    """One thread for the numeric libraries of this process, which read this when first imported."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"
