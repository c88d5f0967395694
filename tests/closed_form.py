"""A device and an accuracy that are known in closed form."""

from functools import lru_cache

from bneck.quantities import Latency
from bneck.space.architecture import Architecture
from bneck.space.cost import cost


class MacsDevice:
    """A million multiply-adds a millisecond."""

    def predict(self, arch: Architecture) -> Latency:
        return Latency(macs(arch) / 1e6, 0.0)


def accuracy(arch: Architecture) -> float:
    """Grows with the multiply-adds, from 0 to 1."""
    return macs(arch) / (macs(arch) + 1e6)


@lru_cache(maxsize=65536)  # tests search a space many times, and meet the same networks
def macs(arch: Architecture) -> int:
    return cost(arch).macs
