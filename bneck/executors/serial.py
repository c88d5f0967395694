"""One item after the other, in this process."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from bneck.executors import Failed, Item, NotYet, Result
from bneck.executors.worker import attempt, one_by_one


class Serial:
    """The executor that needs nothing, and can stop nothing that hangs."""

    workers = 1

    def map_unordered(
        self, task: Callable[[Item], Result], items: Iterable[Item | NotYet]
    ) -> Iterator[tuple[Item, Result | Failed]]:
        """(item, its result), in order."""
        return one_by_one(partial(attempt, task), items)

    def rest(self) -> None:
        """Nothing is held between calls."""

    def close(self) -> None:
        """Nothing runs between calls."""
