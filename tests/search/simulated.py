"""Executors without waiting: workers in simulated time, whose results come in any order."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from math import exp
from random import Random
from typing import Any

from bneck.executors import NotYet
from bneck.executors.worker import attempt
from bneck.space import codec
from bneck.space.architecture import Architecture


def lognormal(arch: Architecture, *, sigma: float = 1.0, seed: int = 0) -> float:
    """Length of an evaluation, mean 1: a matter of the network alone."""
    draw = Random(f"{codec.key(arch)} {seed}").gauss(0.0, 1.0)
    return exp(sigma * draw - sigma**2 / 2)


class Simulated:
    """So many workers; ``spans`` holds when each evaluation began and ended."""

    def __init__(self, workers: int, length: Callable[[Any], float] = lognormal) -> None:
        self.workers, self._length = workers, length
        self.now = 0.0
        self.spans: list[tuple[float, float]] = []

    def map_unordered(
        self, task: Callable, items: Iterable[object]
    ) -> Iterator[tuple[object, object]]:
        source, under_way = iter(items), []
        ended = False
        while True:
            while not ended and len(under_way) < self.workers:
                item = next(source, None)
                ended = item is None
                if ended or isinstance(item, NotYet):
                    break
                length = self._length(getattr(item, "arch", item))
                self.spans.append((self.now, self.now + length))
                job = (self.now + length, len(under_way), item, attempt(task, item))
                heapq.heappush(under_way, job)
            if not under_way:
                assert ended, "the search waits for results, but none is under way"
                return
            self.now, _, item, outcome = heapq.heappop(under_way)
            yield item, outcome

    def busy_share(self) -> float:
        """Share of the workers' time that was spent in evaluations, until the last one started."""
        last_start = max(start for start, _ in self.spans)
        spent = sum(min(end, last_start) - start for start, end in self.spans)
        return spent / (self.workers * last_start)

    def close(self) -> None:
        """Nothing runs between calls."""
