"""Regularised evolution (Real et al. 2019, arXiv 1802.01548, algorithm 1)."""

from bneck.search.samplers.base import TRIES, ArchitectureSampler
from bneck.search.samplers.history import TrialHistory, decoded
from bneck.space.choices import Values

POPULATION, TOURNAMENT = 20, 5


class Evolution(ArchitectureSampler):
    """The best of a few drawn from the youngest ``POPULATION`` networks, mutated once."""

    def propose(self, history: TrialHistory) -> Values:
        """A child that is new and under the ceiling, or a fresh network."""
        if len(history.labels) < POPULATION:
            return self.random_network(history)
        for attempt in range(TRIES):
            drawn = self.random.sample(history.labels[-POPULATION:], TOURNAMENT)
            parent = max(drawn, key=self.objective.reward_of)
            child = self.mutated(parent.values, steps=1 + attempt // 10)
            arch = decoded(self.space.build, child)
            if history.new(arch) and self.objective.allows(arch):
                return child
        return self.random_network(history)
