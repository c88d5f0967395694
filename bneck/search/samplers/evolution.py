"""Regularised evolution (Real et al. 2019, arXiv 1802.01548, algorithm 1)."""

from bneck.search.samplers.base import TRIES, Proposer
from bneck.search.samplers.history import Past, decoded
from bneck.space.choices import Values

POPULATION, TOURNAMENT = 20, 5


class Evolution(Proposer):
    """The best of a few drawn from the youngest ``POPULATION`` networks, mutated once."""

    def propose(self, past: Past) -> Values:
        """A child that is new and under the ceiling, or a fresh network."""
        if len(past.labels) < POPULATION:
            return self.fresh(past)
        for attempt in range(TRIES):
            drawn = self.random.sample(past.labels[-POPULATION:], TOURNAMENT)
            parent = max(drawn, key=self.goal.reward_of)
            child = self.mutated(parent.values, steps=1 + attempt // 10)
            arch = decoded(self.space.build, child)
            if past.new(arch) and self.goal.allows(arch):
                return child
        return self.fresh(past)
