"""Each item by several workers together, one item after the other: a training on several GPUs.

The workers are one group of ``torch.distributed``. They are processes of this machine or actors on
Ray, as for any other item, so that Ctrl-C reaches the driver alone and none outlives it.
docs/training.md says why they are not those of torch's own launcher or of Ray Train's TorchTrainer.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Generic
from uuid import uuid4

from bneck.errors import BneckError, DeviceLost
from bneck.executors import Failed, Item, NotYet, Result, reason
from bneck.executors.pool import START_SECONDS, TRIES, warn_of_slow_start
from bneck.executors.worker import W, WorkerKind, WorkerLost, one_by_one
from bneck.text import number_of

OTHERS_SECONDS = 3.0
"""Time for the others to fail too, or to be lost, once one worker has failed."""


class Together(Generic[W]):
    """An executor whose workers share each item; the answer is that of the first."""

    workers = 1

    def __init__(
        self, kind: WorkerKind[W], count: int, meeting: Callable[[None], str] | None = None
    ) -> None:
        """Start nothing yet.

        Args:
            kind: how workers are started and waited for.
            count: of workers.
            meeting: says, in the first worker, where the others find it; a file unless given.
        """
        self.count = count
        self._kind, self._meeting = kind, meeting or in_a_file

    def map_unordered(
        self, task: Callable[[Item], Result], items: Iterable[Item | NotYet]
    ) -> Iterator[tuple[Item, Result | Failed]]:
        """(item, its result), in order."""
        return one_by_one(partial(self._outcome, task), items)

    def rest(self) -> None:
        """None runs between items."""

    def close(self) -> None:
        """Let go of what the kind of workers holds; none runs between items."""
        self._kind.close()

    def _outcome(self, task: Callable[[Any], Any], item: Any) -> Any:
        """Try again where a worker is lost."""
        for _ in range(TRIES):
            outcome = self._try(task, item)
            if not isinstance(outcome, WorkerLost):
                return outcome
        return Failed(f"{outcome}, {TRIES} times")

    def _try(self, task: Callable[[Any], Any], item: Any) -> Any:
        crew: list[W] = []
        store: Any = None
        try:
            for _ in range(self.count):
                crew.append(self._kind.start())
            if (refused := self._started(crew)) is not None:
                return refused
            crew[0].give(self._meeting, None)
            store = crew[0].answer()
            if not isinstance(store, str):
                return store  # why there is none
            for rank, worker in enumerate(crew):
                worker.give(Member(task, rank, len(crew), store), item)
            return self._answer(crew)
        except WorkerLost as lost:
            return lost
        finally:
            for worker in crew:
                worker.kill()
            _leave(store)

    def _started(self, crew: Sequence[W]) -> Any:
        """Wait until all have started; None, or why one of them refused.

        Raises:
            WorkerLost: one ended instead.
            BneckError: there was no room for all of them.
        """
        until, said_slow = time.monotonic() + START_SECONDS, False
        waiting = list(crew)
        while waiting:
            ready = self._kind.wait(waiting, max(0.0, until - time.monotonic()))
            if not ready and any(worker.is_running() for worker in waiting):
                if not said_slow:
                    warn_of_slow_start(START_SECONDS)
                until, said_slow = time.monotonic() + START_SECONDS, True
            elif not ready:
                raise BneckError(
                    f"{len(waiting)} of {number_of(len(crew), 'worker')} did not start within "
                    f"{START_SECONDS:g} s: no free CPU or GPU; run the same command to resume"
                )
            for worker in ready:
                waiting.remove(worker)
                if isinstance(answer := worker.answer(), Failed | BneckError):
                    return answer
        return None

    def _answer(self, crew: Sequence[W]) -> Any:
        """The first one's answer, once all have answered, or why one of them failed.

        Raises:
            WorkerLost: one was lost, or its GPU, or others miss one before its loss is known.
        """
        answers: dict[W, Any] = {}
        until = None
        while len(answers) < len(crew) and (until is None or time.monotonic() < until):
            left_s = None if until is None else max(0.0, until - time.monotonic())
            waiting = [worker for worker in crew if worker not in answers]
            for worker in self._kind.wait(waiting, left_s):
                answers[worker] = answer = worker.answer()
                if isinstance(answer, Failed | BneckError) and until is None:
                    until = time.monotonic() + OTHERS_SECONDS
        lost = [one for one in answers.values() if isinstance(one, DeviceLost)]
        refused = [one for one in answers.values() if isinstance(one, BneckError)]
        if lost and lost == refused:
            raise WorkerLost(str(lost[0]))
        failed = [one for one in answers.values() if isinstance(one, Failed)]
        others = [one for one in refused if one not in lost]
        return [*others, *failed, answers.get(crew[0])][0]


def in_a_file(_: None) -> str:
    """Return the path of a new file, where processes of one machine find each other."""
    return str(Path(gettempdir()) / f"bneck-{uuid4().hex}")


def _leave(store: Any) -> None:
    """Remove the file where processes of this machine have found each other, if they did."""
    if isinstance(store, str) and not store.startswith("tcp:"):
        Path(store).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Member:
    """One process's part of a task."""

    task: Callable[[Any], Any]
    rank: int
    processes: int
    store: str

    def __call__(self, item: Any) -> Any:
        """Join the others, do the task and leave.

        Raises:
            DeviceLost: another process does not answer. Ray may take half a minute to notice that
                a node is gone, and processes that are waited for have then failed long ago.
        """
        from bneck.proxies.training.distributed import is_cut_off, joined

        try:
            with joined(self.rank, self.processes, self.store):
                return self.task(item)
        except RuntimeError as error:
            if is_cut_off(error):
                raise DeviceLost(f"a process that trains too is lost: {reason(error)}") from error
            raise
