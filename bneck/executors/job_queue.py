"""Items that wait for a worker, taken from the caller one by one."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Any

from bneck.executors import NotYet


@dataclass(slots=True)
class Job:
    """An item on its way: how many workers it has lost, and until when it may take."""

    item: Any
    losses: int = 0
    deadline: float = inf  # on the monotonic clock, in seconds


class JobQueue:
    """Jobs that wait for a worker, pulled from the caller's items one by one."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)
        self._jobs: deque[Job] = deque()
        self.ended = False
        self.may_pull = True
        """False once the items end, or until a result is in where the next item needs one."""
        self._more = 0

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def wanted(self) -> int:
        """How many further workers would have something to do at once."""
        return len(self._jobs) + self._more

    def pull(self) -> bool:
        """Take one more item from the caller, who may compute it now; False if there is none."""
        if not self.may_pull:
            return False
        try:
            item = next(self._items)
        except StopIteration:
            self.ended, self.may_pull, self._more = True, False, 0
            return False
        if isinstance(item, NotYet):
            self.may_pull, self._more = False, item.more
            return False
        self._jobs.append(Job(item))
        return True

    def result_is_in(self) -> None:
        """Note that the caller has seen a result, or more workers, and may have another item."""
        self.may_pull = not self.ended

    def first(self) -> Job:
        """Return the job whose turn it is, which stays in the queue."""
        return self._jobs[0]

    def pop(self) -> Job:
        """Take out the job whose turn it is."""
        return self._jobs.popleft()

    def again(self, job: Job) -> None:
        """Put a job whose worker was lost behind all others."""
        self._jobs.append(job)
