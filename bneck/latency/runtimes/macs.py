"""Multiply-adds as latency: a device without noise, for tests and for searching by counts."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bneck.errors import UsageError
from bneck.latency.runtimes import Runtime
from bneck.quantities import Latency
from bneck.space.architecture import Architecture
from bneck.space.cost import leaf_macs
from bneck.space.layers import Layer, leaves

if TYPE_CHECKING:
    from bneck.latency.runtimes.weights import Array  # onnx

MACS_PER_NS = 1000
TICKS_PER_NS = 1024
"""A little more than one for each multiply-add, so that networks whose counts differ take times
that differ; as a power of 2, so that sums of them are exact."""


class MacsRuntime(Runtime):
    """A thousand multiply-adds per nanosecond on a clock of its own; nothing is run.

    Its latencies are known without a calibration: it is also a predictor.
    """

    word = "macs"
    version = "1"
    name = "multiply-adds"

    def __init__(self, *, threads: int = 1, batch_size: int = 1) -> None:
        super().__init__(threads=threads, batch_size=batch_size)
        self._now = 0.0
        self.clock = self.wall = lambda: self._now

    def prepare(
        self, layers: tuple[Layer, ...], weights: "Mapping[str, Array] | None" = None
    ) -> Callable[[], object]:
        macs = self.batch_size * sum(leaf_macs(leaf) for leaf in leaves(layers))
        ns = macs * TICKS_PER_NS // MACS_PER_NS / TICKS_PER_NS

        def run() -> None:
            self._now += ns

        return run

    def prepare_onnx(self, model: bytes) -> Callable[[], object]:
        raise UsageError("runtime 'macs' counts our own networks only, not ONNX files")

    def predict(self, arch: Architecture) -> Latency:
        return Latency(sum(self.breakdown(arch).values()), 0.0)

    def breakdown(self, arch: Architecture) -> dict[str, float]:
        """Return ms by layer path."""
        return {
            leaf.path: self.batch_size * leaf_macs(leaf) / MACS_PER_NS / 1e6
            for leaf in leaves(arch.layers())
        }
