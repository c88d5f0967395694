"""Random search: every choice drawn uniformly."""

import numpy as np

from bneck.search.objectives import Objective
from bneck.search.samplers.base import Sampler
from bneck.search.samplers.history import TrialHistory
from bneck.space.choices import Space, Values


class RandomSampler(Sampler):
    """Draws what Optuna's sampler of that name draws, without its study: in microseconds."""

    def __init__(self, space: Space) -> None:
        self.space = space

    def propose(self, history: TrialHistory, objective: Objective, seed: int) -> Values:
        """Return a network whose live choices are drawn in order."""
        draw = np.random.RandomState(seed)
        values: Values = {}
        for name, allowed in self.space.live_choices(values):
            place = draw.uniform(size=len(allowed)).argmax() if len(allowed) > 1 else 0
            values[name] = allowed[int(place)]
        return values
