"""A device and an accuracy that are known in closed form."""

from bneck.quantities import Latency
from bneck.space.architecture import Architecture
from bneck.space.cost import cost


class MacsDevice:
    """A million multiply-adds a millisecond."""

    def predict(self, arch: Architecture) -> Latency:
        return Latency(cost(arch).macs / 1e6, 0.0)


def accuracy(arch: Architecture) -> float:
    """Grows with the multiply-adds, from 0 to 1."""
    return cost(arch).macs / (cost(arch).macs + 1e6)
