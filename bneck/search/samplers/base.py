"""What our samplers share: a whole network proposed at once from the study's trials.

Optuna asks for one choice after the other; a proposer decides on all of them at the first question.
It hangs on nothing but the trials, so an interrupted study goes on as if it had not been.
"""

import random
from abc import ABC, abstractmethod
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from bneck.search.objectives import Objective
from bneck.search.samplers.history import TrialHistory, decoded, history_of
from bneck.space.choices import Space, Value, Values

TRIES = 100


class ArchitectureSampler(BaseSampler, ABC):
    """An Optuna sampler that proposes whole networks of a space."""

    def __init__(self, space: Space, objective: Objective, seed: int) -> None:
        self.space = space
        self.objective = objective
        self.random = random.Random(seed)
        self._proposed: Values | None = None

    @abstractmethod
    def propose(self, history: TrialHistory) -> Values:
        """The next network; it should be new and under the ceiling, the search mends it if not."""

    def random_network(self, history: TrialHistory) -> Values:
        """A random network that is new and under the ceiling, or else the fastest of many."""
        tried: list[tuple[float, int, Values]] = []
        for _ in range(TRIES):
            values = self.space.sample(self.random.getrandbits(32))
            arch = decoded(self.space.build, values)
            if history.new(arch):
                bound_ms = self.objective.bound_ms(arch)
                if bound_ms <= self.objective.ceiling_ms:
                    return values
                tried.append((bound_ms, len(tried), values))
        return min(tried)[2] if tried else values

    def mutated(self, values: Values, steps: int) -> Values:
        """So many single changes, one after the other."""
        for _ in range(steps):
            values = self.space.mutate(values, self.random.getrandbits(32))
        return values

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Empty: every choice comes through ``sample_independent``."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, see ``infer_relative_search_space``."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Value:
        """The proposed network's value of one choice."""
        if self._proposed is None:
            history = history_of(study, self.space, trial.number)
            self._proposed = self.propose(history)
        return self._proposed[param_name]
