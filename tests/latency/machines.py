"""Machines with a closed formula for their time, so that tests know what calibration must find."""

import random
from collections.abc import Callable, Iterable, Iterator

from bneck.latency.device_load import QUIET, Load
from bneck.latency.devices import Device, Graph
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.runtimes.macs import MacsRuntime
from bneck.latency.timing import Effort, Timing
from bneck.space.cost import leaf_macs
from bneck.space.layers import Conv, Layer, Leaf, leaves

OVERHEAD_NS = 500


class Blocked(MacsRuntime):
    """Rounds the channels of convolutions up to ``grid``; has an overhead, and noise if asked.

    Without ``in_memory`` only what pointwise and full convolutions write is rounded up.
    """

    def __init__(
        self, *, threads: int = 1, grid: int = 16, noise: float = 0.0, in_memory: bool = True
    ) -> None:
        super().__init__(threads=threads)
        self.grid, self.noise, self.in_memory = grid, noise, in_memory
        self.random = random.Random(0)

    def prepare(self, layers: tuple[Layer, ...], weights: object = None) -> Callable[[], object]:
        nanoseconds = sum(self.leaf_ns(leaf) for leaf in leaves(layers))

        def run() -> None:
            self._now += round(nanoseconds * max(0.1, self.random.gauss(1.0, self.noise)))

        return run

    def leaf_ns(self, leaf: Leaf) -> float:
        macs = leaf_macs(leaf)
        if isinstance(leaf, Conv) and leaf.in_channels > 3:
            if self.in_memory or leaf.groups == 1:
                macs = macs * self.up(leaf.out_channels) // leaf.out_channels
            if self.in_memory and leaf.groups == 1:
                macs = macs * self.up(leaf.in_channels) // leaf.in_channels
        return OVERHEAD_NS + macs / 1000

    def up(self, channels: int) -> int:
        return -(-channels // self.grid) * self.grid


class Scripted(Device):
    """Answers with timings that a test says, in turns; ``asked`` counts them."""

    def __init__(self, *timings: Timing, load: Load = QUIET, by_hand: bool = False) -> None:
        self.timings, self.load, self.by_hand, self.asked = timings, load, by_hand, 0

    def fingerprint(self) -> Fingerprint:
        return Fingerprint("none", 1, "none", "1", 1)

    def watch(self) -> Callable[[], Load]:
        return lambda: self.load

    def time(
        self, graphs: Iterable[Graph], reference: Graph, effort: Effort
    ) -> Iterator[tuple[Timing, float]]:
        for _ in graphs:
            self.asked += 1
            yield self.timings[self.asked % len(self.timings)], 0.0


class OneImage(MacsRuntime):
    """A runtime written before there were batches."""

    def __init__(self, *, threads: int = 1) -> None:
        super().__init__(threads=threads)
