"""Local search (White et al. 2021, arXiv 2005.02960): the neighbours of the best, in turn."""

from bneck.search.samplers.base import Proposer
from bneck.search.samplers.history import Past, decoded
from bneck.space.choices import Values

START = 10


class LocalSearch(Proposer):
    """A random neighbour of the best network that has one left, after a random start."""

    def propose(self, past: Past) -> Values:
        """A neighbour that is new and under the ceiling, or a fresh network."""
        if len(past.labels) < START:
            return self.fresh(past)
        for label in sorted(past.labels, key=self.goal.reward_of, reverse=True):
            neighbours = list(self.space.neighbours(label.values))
            self.random.shuffle(neighbours)
            for values in neighbours:
                arch = decoded(self.space.build, values)
                if past.new(arch) and self.goal.allows(arch):
                    return values
        return self.fresh(past)
