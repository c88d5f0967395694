"""How the next network is proposed: Optuna samplers, one word each in SAMPLERS."""

from collections.abc import Callable

from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from bneck.errors import UsageError
from bneck.search.named import named
from bneck.search.samplers.evolution import Evolution
from bneck.search.samplers.goal import Goal
from bneck.search.samplers.local_search import LocalSearch
from bneck.search.samplers.surrogate import SurrogateSampler
from bneck.space.choices import Space

__all__ = ["SAMPLERS", "Goal", "find"]


Maker = Callable[[Space, Goal, int], BaseSampler]
"""(space, goal, seed) -> a sampler whose every choice hangs on the seed."""


def find(word: str) -> Maker:
    """The maker behind a word of ``SAMPLERS`` or behind ``package.module:attr``.

    The latter is any Optuna sampler, or a function that returns one; it is called with ``seed=``.

    Raises:
        UsageError: an unknown word, or nothing that can be imported.
    """
    if word in SAMPLERS:
        return SAMPLERS[word]
    make = named("sampler", word, SAMPLERS)

    def foreign(space: Space, goal: Goal, seed: int) -> BaseSampler:
        try:
            sampler = make(seed=seed)
        except TypeError as error:
            raise UsageError(f"{word!r} cannot be called with a seed: {error}") from error
        if not isinstance(sampler, BaseSampler):
            raise UsageError(f"{word!r} makes no Optuna sampler but a {type(sampler).__name__}")
        return sampler

    return foreign


def _random(space: Space, goal: Goal, seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


def _tpe(space: Space, goal: Goal, seed: int) -> BaseSampler:
    return TPESampler(seed=seed, multivariate=True)


def _nsga2(space: Space, goal: Goal, seed: int) -> BaseSampler:
    return NSGAIISampler(seed=seed)


SAMPLERS: dict[str, Maker] = {
    "random": _random,
    "tpe": _tpe,
    "nsga2": _nsga2,
    "evolution": Evolution,
    "local-search": LocalSearch,
    "surrogate": SurrogateSampler,
}
