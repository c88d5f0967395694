"""Regularised evolution (Real et al. 2019, arXiv 1802.01548, algorithm 1)."""

from bneck.search.objectives import Objective
from bneck.search.samplers.base import TRIES, ArchitectureSampler
from bneck.search.samplers.history import TrialHistory, decoded
from bneck.space.choices import Values

POPULATION, TOURNAMENT = 20, 5


class Evolution(ArchitectureSampler):
    """The best of a few drawn from the youngest ``POPULATION`` networks, mutated once."""

    def next_network(self, history: TrialHistory, objective: Objective) -> Values:
        """Return a child that is new and allowed, or a random network."""
        if len(history.labels) < POPULATION:
            return self.random_network(history, objective)
        for attempt in range(TRIES):
            drawn = self.random.sample(history.labels[-POPULATION:], TOURNAMENT)
            parent = max(drawn, key=objective.reward_of)
            child = self.mutated(parent.values, steps=1 + attempt // 10)
            arch = decoded(self.space, child)
            if history.new(arch) and objective.allows(arch):
                return child
        return self.random_network(history, objective)
