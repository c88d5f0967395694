"""Whatever foretells latencies: a calibrated model or a published table."""

from pathlib import Path
from typing import Protocol

from bneck.latency.model import load
from bneck.latency.runtimes.macs import MACS_A_NS
from bneck.latency.table import PREFIX, read_table
from bneck.quantities import Latency
from bneck.space.architecture import Architecture
from bneck.space.cost import leaf_macs
from bneck.space.layers import leaves


class Predictor(Protocol):
    """What ``LatencyModel`` and ``Table`` have in common."""

    @property
    def name(self) -> str:
        """The device or table that foretells."""
        ...

    def predict(self, arch: Architecture) -> Latency:
        """Latency of a network; raises NotCalibrated for what was never timed."""
        ...

    def breakdown(self, arch: Architecture) -> dict[str, float]:
        """ms by layer or block path, adding up to the prediction."""
        ...


class Counted:
    """Multiply-adds as latency: a thousand a nanosecond, as the runtime of that name has it."""

    name = "multiply-adds"

    def predict(self, arch: Architecture) -> Latency:
        return Latency(sum(self.breakdown(arch).values()), 0.0)

    def breakdown(self, arch: Architecture) -> dict[str, float]:
        """ms by layer path."""
        return {leaf.path: leaf_macs(leaf) / MACS_A_NS / 1e6 for leaf in leaves(arch.layers())}


def open_predictor(text: str) -> Predictor:
    """The model in a file that ``bneck calibrate`` wrote, ``table:FILE``, or the word "macs"."""
    if text == "macs":
        return Counted()
    if text.startswith(PREFIX):
        return read_table(Path(text.removeprefix(PREFIX)))
    return load(Path(text))
