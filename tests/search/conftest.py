"""A device whose latency is known in closed form, and a small space of small networks."""

from collections.abc import Callable

import pytest

from bneck.latency.model import Latency
from bneck.space import spaces
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.space.cost import cost


class MacsDevice:
    """A million multiply-adds a millisecond."""

    def predict(self, arch: Architecture) -> Latency:
        return Latency(cost(arch).macs / 1e6, 0.0)


@pytest.fixture
def model() -> MacsDevice:
    return MacsDevice()


@pytest.fixture(scope="session")
def space() -> Space:
    return spaces.build("v3-small", resolution_px=32, classes=10)


@pytest.fixture
def by_macs() -> Callable[[Architecture], float]:
    """An accuracy that grows with the multiply-adds, from 0 to 1."""
    return lambda arch: cost(arch).macs / (cost(arch).macs + 1e6)
