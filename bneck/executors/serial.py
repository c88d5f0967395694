"""One item after the other, in this process."""

from collections.abc import Callable, Iterable, Iterator

from bneck.errors import BneckError
from bneck.executors import Failed, Item, NotYet, Result
from bneck.executors.worker import Broken, Refused, attempt, raise_for


class Serial:
    """The executor that needs nothing, and can stop nothing that hangs."""

    workers = 1

    def map_unordered(
        self, task: Callable[[Item], Result], items: Iterable[Item | NotYet]
    ) -> Iterator[tuple[Item, Result | Failed]]:
        """(item, its result), in order."""
        for item in items:
            if isinstance(item, NotYet):
                raise BneckError("the next item waits for results, but none is under way")
            outcome = attempt(task, item)
            if isinstance(outcome, Refused | Broken):
                raise_for(outcome)
            else:
                yield item, outcome

    def rest(self) -> None:
        """Nothing is held between calls."""

    def close(self) -> None:
        """Nothing runs between calls."""
