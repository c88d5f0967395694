"""How the next network is proposed: Optuna samplers, one word each in SAMPLERS."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bneck.errors import UsageError
from bneck.imports import load_object
from bneck.space.choices import Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from bneck.search.objectives import Objective

Maker = Callable[[Space, "Objective", int], "BaseSampler"]
"""(space, objective, seed) -> a sampler whose every choice hangs on the seed."""

SAMPLERS = {
    "random": "bneck.search.samplers.optuna_samplers:random",
    "tpe": "bneck.search.samplers.optuna_samplers:tpe",
    "nsga2": "bneck.search.samplers.optuna_samplers:nsga2",
    "evolution": "bneck.search.samplers.evolution:Evolution",
    "local-search": "bneck.search.samplers.local_search:LocalSearch",
    "surrogate": "bneck.search.samplers.surrogate:SurrogateSampler",
}
"""Word -> "module:maker", imported when a sampler is made: to check a word costs nothing."""


def find(word: str) -> Maker:
    """The maker behind a word of ``SAMPLERS`` or behind ``package.module:attr``.

    The latter is any Optuna sampler, or a function that returns one; it is called with ``seed=``.

    Raises:
        UsageError: an unknown word, or nothing that can be imported.
    """
    return _ours(SAMPLERS[word]) if word in SAMPLERS else _foreign(word)


def _ours(place: str) -> Maker:
    def make(space: Space, objective: "Objective", seed: int) -> "BaseSampler":
        maker: Maker = load_object("sampler", place)
        return maker(space, objective, seed)

    return make


def _foreign(word: str) -> Maker:
    maker = load_object("sampler", word, list(SAMPLERS))

    def make(space: Space, objective: "Objective", seed: int) -> "BaseSampler":
        from optuna.samplers import BaseSampler

        try:
            sampler = maker(seed=seed)
        except TypeError as error:
            raise UsageError(f"{word!r} cannot be called with a seed: {error}") from error
        if not isinstance(sampler, BaseSampler):
            raise UsageError(f"{word!r} makes no Optuna sampler but a {type(sampler).__name__}")
        return sampler

    return make
