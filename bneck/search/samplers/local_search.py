"""Local search (White et al. 2021, arXiv 2005.02960): the neighbours of the best, in turn."""

from bneck.search.objectives import Objective
from bneck.search.samplers.base import ArchitectureSampler
from bneck.search.samplers.history import TrialHistory, decoded
from bneck.space.choices import Values

RANDOM_START = 10


class LocalSearch(ArchitectureSampler):
    """A random neighbour of the best network that has one left, after a random start."""

    def next_network(self, history: TrialHistory, objective: Objective) -> Values:
        """Return a neighbour that is new and allowed, or a random network."""
        if len(history.labels) < RANDOM_START:
            return self.random_network(history, objective)
        for label in sorted(history.labels, key=objective.reward_of, reverse=True):
            neighbours = list(self.space.neighbours(label.values))
            self.random.shuffle(neighbours)
            for values in neighbours:
                arch = decoded(self.space, values)
                if history.new(arch) and objective.allows(arch):
                    return values
        return self.random_network(history, objective)
