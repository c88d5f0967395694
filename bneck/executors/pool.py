"""A pool of workers of one kind, each with one item at a time: retries, time limits, clean ends."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Generic

from bneck import live
from bneck.errors import BneckError, DeviceLost
from bneck.executors import Failed, Item, NotYet, Result
from bneck.executors.job_queue import Job, JobQueue
from bneck.executors.worker import W, WorkerKind, WorkerLost, load

TRIES = 3
"""Losses of its worker after which an item fails, and of new workers after which all does."""
START_SECONDS = 600.0
"""Time for workers to start, before one that does not run is taken to have no room."""
ROOM_SECONDS = 5.0
"""Seconds between two questions how many workers a cluster that may grow has room for."""
LONGEST_WAIT_SECONDS = 86_400.0
"""Longest single wait: a system's timers may end at 2^31 ms, and a time limit may be longer."""


@dataclass(frozen=True, slots=True)
class _Start:
    """A worker that is starting (no task), or that loads what a task needs."""

    since: float
    task: Callable[[Any], Any] | None = None
    has_worked: bool = False


class WorkerPool(Generic[W]):
    """An executor over workers of one kind, which stay between calls.

    An item whose worker is lost is given to another; at the third loss it fails. The time limit
    is for an item alone: a worker imports a task's code, and calls its ``load()`` if it has one,
    before its first item.
    """

    def __init__(
        self, kind: WorkerKind[W], workers: int | None, *, time_limit_s: float | None = None
    ) -> None:
        """Start no worker yet.

        Args:
            kind: starts workers, and says how many there is room for.
            workers: how many; None takes as many as there is room for at any time.
            time_limit_s: of one item, after which its worker is killed; None sets no limit.
        """
        self._kind = kind
        self._asked = workers
        self._room, self._room_asked_s = kind.room(0), time.monotonic()
        self._limit_s = inf if time_limit_s is None else time_limit_s
        self._starting: dict[W, _Start] = {}
        self._idle: dict[W, Callable[[Any], Any] | None] = {}  # with the task it has loaded
        self._busy: dict[W, Job] = {}
        self._failed_starts = 0
        self._said_slow = False

    @property
    def workers(self) -> int:
        """How many items may run at once at this time."""
        return self._room if self._asked is None else self._asked

    def map_unordered(
        self, task: Callable[[Item], Result], items: Iterable[Item | NotYet]
    ) -> Iterator[tuple[Item, Result | Failed]]:
        """(item, its result) as they finish; whatever ends this early stops the busy workers."""
        queue = JobQueue(items)
        try:
            while True:
                self._hand_out(task, queue)
                if not (queue or self._busy):
                    if queue.ended:
                        return
                    raise BneckError("the next item waits for results, but none is under way")
                answered = self._wait(queue)
                if not answered and queue.pull():  # nothing else to do: prepare an item ahead
                    continue
                late = self._late(answered)
                for worker in answered:
                    if worker in self._starting:
                        self._started(worker)
                        continue
                    job, outcome = self._busy[worker], self._outcome(worker, task)
                    del self._busy[worker]
                    if isinstance(outcome, WorkerLost):
                        job.losses += 1
                        if job.losses < TRIES:
                            queue.again(job)
                            continue
                        outcome = Failed(f"{outcome}, {TRIES} times")
                    self._hand_out(task, queue, pull=False)
                    yield job.item, outcome
                    queue.result_is_in()
                for worker in late:
                    worker.kill()
                    job = self._busy.pop(worker)
                    yield job.item, Failed(f"stopped at the time limit of {self._limit_s:g} s")
                    queue.result_is_in()
        finally:
            self._stop(self._busy)

    def rest(self) -> None:
        """Stop idle workers, so that others may have what they hold; new ones are started.

        One that is still starting would be idle, and hold as much.
        """
        self._stop(self._starting)
        self._stop(self._idle)
        self._kind.room(0)

    def close(self) -> None:
        """Stop all workers."""
        self._stop(self._busy)
        self._stop(self._starting)
        self._stop(self._idle)
        self._kind.close()

    def _hand_out(self, task: Callable[[Any], Any], queue: JobQueue, *, pull: bool = True) -> None:
        """Give items to idle workers; start workers for the rest, as far as there may be more."""
        self._ask_for_room(queue)
        while True:
            while queue and self._idle:
                self._give(task, queue)
            free = self.workers - len(self._busy) - len(self._starting)
            nothing = not (queue or self._busy)  # as many as there is room for may be starting
            if free > 0 and len(queue) > len(self._starting):
                self._starting[self._kind.start()] = _Start(time.monotonic())
            elif not (pull and (free > 0 or self._idle or nothing) and queue.pull()):
                return

    def _give(self, task: Callable[[Any], Any], queue: JobQueue) -> None:
        worker, loaded = self._idle.popitem()
        now = time.monotonic()
        try:
            if loaded == task:
                worker.give(task, queue.first().item)
                job = queue.pop()
                job.deadline = now + self._limit_s
                self._busy[worker] = job
            else:
                worker.give(load, task)
                self._starting[worker] = _Start(now, task, has_worked=loaded is not None)
        except WorkerLost:
            worker.kill()

    def _ask_for_room(self, queue: JobQueue) -> None:
        now = time.monotonic()
        if self._asked is None and now >= self._room_asked_s + ROOM_SECONDS:
            before, self._room = self._room, self._kind.room(queue.wanted + len(self._busy))
            self._room_asked_s = now
            if self._room > before:
                queue.result_is_in()

    def _started(self, worker: W) -> None:
        """A worker has started or has loaded its task; the third loss in a row ends the work.

        Those that worked before count once together: what takes several idle workers, as the end of
        a node does, may take them in the moment in which they are given the next task.
        """
        start = self._starting.pop(worker)
        outcome = self._outcome(worker, start.task)
        if not isinstance(outcome, WorkerLost):
            self._failed_starts = 0 if start.task else self._failed_starts
        elif not (start.has_worked and self._failed_starts):
            self._failed_starts += 1
            if self._failed_starts >= TRIES:
                raise BneckError(f"no worker can be started: {outcome}")

    def _outcome(self, worker: W, loaded: Callable[[Any], Any] | None) -> Any:
        """A worker's answer, after which it is idle, or how it was lost.

        Raises:
            UsageError: it refused the user's request.
            BneckError: its machine failed.
        """
        try:
            answer = worker.answer()
        except WorkerLost as loss:
            worker.kill()
            return loss
        if isinstance(answer, BneckError):
            worker.kill()
            if isinstance(answer, DeviceLost):
                return WorkerLost(str(answer))
            raise answer
        self._idle[worker] = loaded
        return answer

    def _wait(self, queue: JobQueue) -> Sequence[W]:
        seconds = 0.0 if queue.may_pull else self._seconds_to_next_check()
        return self._kind.wait([*self._starting, *self._busy], seconds)

    def _late(self, answered: Sequence[W]) -> list[W]:
        now = time.monotonic()
        if not (self._busy or answered) and self._first_start() < now - START_SECONDS:
            self._wait_on(now)
        return [w for w, job in self._busy.items() if job.deadline <= now and w not in answered]

    def _wait_on(self, now: float) -> None:
        """Wait for workers that start slowly but run; say so once.

        Raises:
            BneckError: none runs, so that there is no room for them.
        """
        slow = [w for w, one in self._starting.items() if not one.task and w.is_running()]
        if not slow:
            raise BneckError(
                f"no worker started within {START_SECONDS:g} s: no free CPU or GPU; "
                "run the same command to resume"
            )
        self._starting.update(dict.fromkeys(slow, _Start(now)))
        if not self._said_slow:
            self._said_slow = True
            warn_of_slow_start(START_SECONDS)

    def _seconds_to_next_check(self) -> float | None:
        """Seconds until something has to be done even if no worker answers."""
        if self._busy:
            soonest = min(job.deadline for job in self._busy.values())
        else:
            soonest = self._first_start() + START_SECONDS
        if self._asked is None:
            soonest = min(soonest, self._room_asked_s + ROOM_SECONDS)
        if soonest == inf:
            return None
        return min(max(0.0, soonest - time.monotonic()), LONGEST_WAIT_SECONDS)

    def _first_start(self) -> float:
        """When the first of those that are starting began; to load may take hours, and fails."""
        return min((one.since for one in self._starting.values() if not one.task), default=inf)

    @staticmethod
    def _stop(workers: dict[W, Any]) -> None:
        while workers:
            workers.popitem()[0].kill()


def warn_of_slow_start(seconds: float) -> None:
    """Warn that workers have not started within ``seconds``, and are waited for."""
    live.warn(f"workers have not started within {seconds:g} s, but run: they are waited for")
