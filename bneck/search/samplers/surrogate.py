"""The default sampler: learn accuracy from the labels so far, and try what could be best.

Each candidate is credited with the accuracy that the surrogate holds possible (an upper confidence
bound, Srinivas et al. 2010): a quantile passes through any reward that rises with accuracy, so the
exact latency, the ceiling and a reward that changed since are all taken into account without being
learnt. Networks in evaluation count as labelled with their expected accuracy (GP-BUCB, Desautels et
al. 2014), so that the networks of a batch differ.

The first networks are random, since what matters in a space is learnt from networks that differ.
Where many workers start at once, more networks are wanted before those are labelled: until then
slower networks are taken to be more accurate, by as much as the papers' rewards say, and a network
is the less certain the further it is from those in evaluation.
"""

from heapq import nlargest
from itertools import cycle, islice

from bneck.search.objectives import Objective
from bneck.search.samplers.base import ArchitectureSampler
from bneck.search.samplers.history import LabelledNetwork, TrialHistory, decoded
from bneck.search.samplers.latency_trend import prior_trend
from bneck.search.samplers.online_surrogate import START, OnlineSurrogate, no_trend
from bneck.space.architecture import Architecture
from bneck.space.choices import Values

OPTIMISM = 1.0
"""Standard deviations above the mean that a candidate is credited with."""

RANDOM_START = START + 1
"""Random networks; as many as must be proposed anyway until enough are labelled by two workers."""

PARENTS, NEAR, LEAPS, RANDOM, RANDOM_AT_FIRST = 5, 30, 15, 5, 60
"""Best networks, their neighbours, leaps of several changes from them, and random networks, more of
which are tried at first."""
ROUNDS, BEAM, GROWN = 3, 4, 24
"""Rounds of the beam search, candidates that each grows from, and neighbours that it tries."""


class SurrogateSampler(ArchitectureSampler):
    """Upper confidence bound of the reward, over what grows from the best networks and from chance.

    The first candidates are neighbours of the best networks, leaps of several changes and random
    networks; then, as in a beam search, the neighbours of the most promising candidates.
    """

    def next_network(self, history: TrialHistory, objective: Objective) -> Values:
        """Return the candidate of largest optimistic reward."""
        if len(history.trials) < RANDOM_START:
            return self.random_network(history, objective)
        few = len(history.labels) < START
        model = OnlineSurrogate(
            history.labels,
            objective.reward_of,
            history.pending,
            prior_trend(objective.latency_ms) if few else no_trend,
        )
        parents = [label.values for label in _best(history, objective)]
        proposed = self._changed(parents, NEAR, steps=1) + self._changed(parents, LEAPS, steps=3)
        count = RANDOM_AT_FIRST if few else RANDOM
        proposed += [self.space.sample(self.random.getrandbits(32)) for _ in range(count)]
        scored = self._scored(proposed, history, objective, model)
        for _ in range(ROUNDS):
            beam = nlargest(BEAM, scored.values(), key=lambda candidate: candidate[0])
            grown = self._changed([values for _, values in beam], GROWN, steps=1)
            scored |= self._scored(grown, history, objective, model)
        if not scored:
            return self.random_network(history, objective)
        return max(scored.values(), key=lambda candidate: candidate[0])[1]

    def _changed(self, parents: list[Values], count: int, *, steps: int) -> list[Values]:
        """The parents in turn, each changed at up to ``steps`` places; none without parents."""
        turns = islice(cycle(parents), count)
        return [self.mutated(parent, self.random.randint(1, steps)) for parent in turns]

    def _scored(
        self,
        proposed: list[Values],
        history: TrialHistory,
        objective: Objective,
        model: OnlineSurrogate,
    ) -> dict[Architecture, tuple[float, Values]]:
        """The optimistic reward of every network that is new and allowed."""
        named = {decoded(self.space, values): values for values in proposed}
        new = [arch for arch in named if history.new(arch) and objective.allows(arch)]
        accuracies = model.accuracies(new, OPTIMISM)
        return {
            arch: (objective.reward(accuracy, objective.latency_ms(arch)), named[arch])
            for arch, accuracy in zip(new, accuracies, strict=True)
        }


def _best(history: TrialHistory, objective: Objective) -> list[LabelledNetwork]:
    """The best networks from floor to ceiling; other targets of the search had others."""
    low_ms, high_ms = objective.floor_ms, objective.ceiling_ms
    inside = (label for label in history.labels if low_ms <= label.latency_ms <= high_ms)
    return nlargest(PARENTS, inside, key=objective.reward_of)
