"""What a search is after, as far as a sampler needs to know it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from bneck.search.reward import Reward
from bneck.space.architecture import Architecture

if TYPE_CHECKING:
    from bneck.search.samplers.history import Label


def no_margin(arch: Architecture) -> float:
    """0 ms: a prediction is taken at its word."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Goal:
    """Largest ``reward(accuracy, latency_ms)`` of the networks from floor to ceiling.

    ``margin_ms`` is added to a network's predicted latency before it is held against the ceiling.
    """

    latency_ms: Callable[[Architecture], float]
    reward: Reward
    ceiling_ms: float = inf
    floor_ms: float = 0.0
    margin_ms: Callable[[Architecture], float] = no_margin

    def reward_of(self, label: "Label") -> float:
        """What an evaluated network is worth; the reward may have changed since."""
        return self.reward(label.accuracy, label.latency_ms)

    def bound_ms(self, arch: Architecture) -> float:
        """The latency that the network stays under with the confidence that was asked for."""
        return self.latency_ms(arch) + self.margin_ms(arch)

    def allows(self, arch: Architecture) -> bool:
        return self.outside_ms(arch) == 0.0

    def outside_ms(self, arch: Architecture) -> float:
        """How far the network's latency is from what is allowed, 0 inside."""
        latency_ms = self.latency_ms(arch)
        above_ms = latency_ms + self.margin_ms(arch) - self.ceiling_ms
        return max(0.0, self.floor_ms - latency_ms, above_ms)
