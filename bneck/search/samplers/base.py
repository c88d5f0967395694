"""What samplers share: whole networks are proposed from nothing but the history and a seed."""

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from bneck.search.objectives import Objective
from bneck.search.samplers.history import TrialHistory, decoded
from bneck.space.choices import Space, Values

TRIES = 100


class Sampler(ABC):
    """Proposes the networks of one search.

    Equal histories, objectives and seeds give equal proposals: an interrupted search continues as
    if it had not been interrupted.
    """

    notes: Mapping[str, Any] = {}
    """What the last proposal leaves to be kept with its trial, as JSON values."""

    @abstractmethod
    def propose(self, history: TrialHistory, objective: Objective, seed: int) -> Values:
        """Return the next network; one that is not new or not allowed is replaced by the search.

        Args:
            history: the search so far, as far as it may be known.
            objective: the reward and the allowed latencies.
            seed: decides this proposal's random numbers.
        """


class ArchitectureSampler(Sampler):
    """A sampler of bneck's own: ``next_network``, and the random source that it draws from."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.random = random.Random()

    def propose(self, history: TrialHistory, objective: Objective, seed: int) -> Values:
        """Return ``next_network`` with the random source seeded for this proposal alone."""
        self.random.seed(seed)
        return self.next_network(history, objective)

    @abstractmethod
    def next_network(self, history: TrialHistory, objective: Objective) -> Values:
        """Return a network that should be new and allowed."""

    def random_network(self, history: TrialHistory, objective: Objective) -> Values:
        """Return a random network that is new and under the ceiling, or the fastest of many."""
        tried: list[tuple[float, int, Values]] = []
        for _ in range(TRIES):
            values = self.space.sample(self.random.getrandbits(32))
            arch = decoded(self.space, values)
            if history.new(arch):
                bound_ms = objective.bound_ms(arch)
                if bound_ms <= objective.ceiling_ms:
                    return values
                tried.append((bound_ms, len(tried), values))
        return min(tried)[2] if tried else values

    def mutated(self, values: Values, steps: int) -> Values:
        """Return the values after ``steps`` single changes, one after the other."""
        for _ in range(steps):
            values = self.space.mutate(values, self.random.getrandbits(32))
        return values
