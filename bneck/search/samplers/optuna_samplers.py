"""Optuna's own samplers, which see of a space and a goal what Optuna sees."""

from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from bneck.search.samplers.goal import Goal
from bneck.space.choices import Space


def random(space: Space, goal: Goal, seed: int) -> BaseSampler:
    """Every choice drawn uniformly."""
    return RandomSampler(seed=seed)


def tpe(space: Space, goal: Goal, seed: int) -> BaseSampler:
    """The tree-structured Parzen estimator, over all choices at once."""
    return TPESampler(seed=seed, multivariate=True)


def nsga2(space: Space, goal: Goal, seed: int) -> BaseSampler:
    """The genetic algorithm NSGA-II."""
    return NSGAIISampler(seed=seed)
