"""Each item by several processes together, one item after the other: a training on several GPUs.

The processes are one group of ``torch.distributed``. They are this machine's worker processes, so
that Ctrl-C reaches the driver alone, and none outlives it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from tempfile import TemporaryDirectory
from typing import Any

from bneck.errors import BneckError
from bneck.executors import Failed, Item, NotYet, Result
from bneck.executors.pool import TRIES
from bneck.executors.processes import Process
from bneck.executors.worker import Broken, Refused, WorkerLost, raise_for

OTHERS_SECONDS = 3.0
"""How long the others have to say that they failed too, or were lost, when one has failed."""


class Together:
    """An executor whose workers share each item; the answer is that of the first."""

    workers = 1
    in_stages = False

    def __init__(self, environments: Sequence[Mapping[str, str]]) -> None:
        """Start nothing yet; ``environments`` are those of the processes, one each."""
        self._environments = environments

    def map_unordered(
        self, task: Callable[[Item], Result], items: Iterable[Item | NotYet]
    ) -> Iterator[tuple[Item, Result | Failed]]:
        """(item, its result), in order."""
        for item in items:
            if isinstance(item, NotYet):
                raise BneckError("the next item waits for results, but none is under way")
            outcome = self._outcome(task, item)
            raise_for(outcome)
            yield item, outcome

    def close(self) -> None:
        """Nothing runs between items."""

    def _outcome(self, task: Callable[[Any], Any], item: Any) -> Any:
        """Try again where a process is lost."""
        for _ in range(TRIES):
            outcome = self._try(task, item)
            if not isinstance(outcome, WorkerLost):
                return outcome
        return Failed(f"{outcome}, {TRIES} times")

    def _try(self, task: Callable[[Any], Any], item: Any) -> Any:
        crew: list[Process] = []
        try:
            with TemporaryDirectory() as folder:
                crew += [Process(environment) for environment in self._environments]
                for rank, process in enumerate(crew):
                    process.answer()  # it has started
                    store = f"file://{folder}/store"
                    process.give(Member(task, rank, len(crew), store), item)
                return _answer(crew)
        except WorkerLost as lost:
            return lost
        finally:
            for process in crew:
                process.kill()


def _answer(crew: Sequence[Process]) -> Any:
    """The first one's answer, once all have answered, or why one of them failed.

    Raises:
        WorkerLost: one was lost; the others, who miss it, may have failed before that is known.
    """
    answers: dict[int, Any] = {}
    waiting = {process.pipe: rank for rank, process in enumerate(crew)}
    until = None
    while waiting and (until is None or time.monotonic() < until):
        left_s = None if until is None else max(0.0, until - time.monotonic())
        for pipe in connection.wait(list(waiting), left_s):
            rank = waiting.pop(pipe)  # type: ignore[call-overload]
            answers[rank] = crew[rank].answer()
            if isinstance(answers[rank], Failed | Refused | Broken) and until is None:
                until = time.monotonic() + OTHERS_SECONDS
    failed = (one for _, one in sorted(answers.items()) if isinstance(one, Failed))
    refused = (one for one in answers.values() if isinstance(one, Refused | Broken))
    return next(refused, None) or next(failed, None) or answers[0]


@dataclass(frozen=True, slots=True)
class Member:
    """One process's part of a task."""

    task: Callable[[Any], Any]
    rank: int
    processes: int
    store: str

    def __call__(self, item: Any) -> Any:
        """Join the others, do the task and leave."""
        from bneck.proxies.training.distributed import joined

        with joined(self.rank, self.processes, self.store):
            return self.task(item)
