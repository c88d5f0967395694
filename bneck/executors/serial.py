"""One item after the other, in this process."""

from collections.abc import Callable, Iterator, Sequence

from bneck.errors import UsageError
from bneck.executors import Failed, Item, Result
from bneck.executors.pool import Refused, attempt


class Serial:
    """The executor that needs nothing, and can stop nothing that hangs."""

    workers = 1

    def map_unordered(
        self, task: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Result | Failed]]:
        """(item, its result), in order."""
        for item in items:
            outcome = attempt(task, item)
            if isinstance(outcome, Refused):
                raise UsageError(outcome.message)
            yield item, outcome

    def close(self) -> None:
        """Nothing runs between calls."""
