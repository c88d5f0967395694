"""Multiply-adds as latency: a device without noise, for tests and for searching by counts."""

from collections.abc import Callable

from bneck.errors import UsageError
from bneck.space.cost import leaf_macs
from bneck.space.layers import Layer, leaves

MACS_A_NS = 1000


class Macs:
    """A thousand multiply-adds a nanosecond on a clock of its own; nothing is run."""

    def __init__(self, *, threads: int = 1) -> None:
        self.word = "macs"
        self.version = "1"
        self.threads = threads
        self._now = 0

    def clock(self) -> int:
        return self._now

    wall = clock

    def prepare(self, layers: tuple[Layer, ...]) -> Callable[[], object]:
        macs = sum(leaf_macs(leaf) for leaf in leaves(layers))

        def run() -> None:
            self._now += macs // MACS_A_NS

        return run

    def prepare_onnx(self, model: bytes) -> Callable[[], object]:
        raise UsageError("runtime 'macs' counts our own networks only, not ONNX files")
