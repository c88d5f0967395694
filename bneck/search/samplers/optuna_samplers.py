"""Optuna's own samplers, which see of a space and an objective what Optuna sees."""

from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from bneck.search.objectives import Objective
from bneck.space.choices import Space


def random(space: Space, objective: Objective, seed: int) -> BaseSampler:
    """Every choice drawn uniformly."""
    return RandomSampler(seed=seed)


def tpe(space: Space, objective: Objective, seed: int) -> BaseSampler:
    """The tree-structured Parzen estimator, over all choices at once."""
    return TPESampler(seed=seed, multivariate=True)


def nsga2(space: Space, objective: Objective, seed: int) -> BaseSampler:
    """The genetic algorithm NSGA-II."""
    return NSGAIISampler(seed=seed)
