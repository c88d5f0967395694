"""How the next network is proposed: samplers of ours and of Optuna, one word each in SAMPLERS."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from bneck.errors import UsageError
from bneck.imports import check_call, load_object
from bneck.space.choices import Space

if TYPE_CHECKING:
    from bneck.search.samplers.base import Sampler

SAMPLERS = {
    "random": "bneck.search.samplers.random:RandomSampler",
    "tpe": "bneck.search.samplers.optuna_samplers:tpe",
    "nsga2": "bneck.search.samplers.optuna_samplers:nsga2",
    "evolution": "bneck.search.samplers.evolution:Evolution",
    "local-search": "bneck.search.samplers.local_search:LocalSearch",
    "surrogate": "bneck.search.samplers.surrogate:SurrogateSampler",
}
"""Word -> "module:attribute", imported when a sampler is made: to check a word costs nothing."""

OPTUNAS = ("tpe", "nsga2")
"""Samplers of Optuna, which also take whether accuracy and latency are two objectives."""


def find(word: str) -> Callable[[Space, bool], "Sampler"]:
    """Return what makes the sampler of a word in ``SAMPLERS``, or of ``package.module:attr``.

    The latter is a sampler of Optuna, or a function that returns one; it is called with ``seed=``.
    What is returned takes the space, and whether accuracy and latency are two objectives.

    Raises:
        UsageError: an unknown word, or nothing that can be imported.
    """
    if word in SAMPLERS:
        return partial(_own, word)
    make = load_object("sampler", word, SAMPLERS)
    if not callable(make):
        raise UsageError(f"sampler {word!r} must be a class or function, and is {make!r:.60}")
    check_call("sampler", word, make, seed=0)
    return partial(_foreign, word, make)


def _own(word: str, space: Space, front: bool) -> "Sampler":
    make = load_object("sampler", word, SAMPLERS)
    sampler: Sampler = make(space, front) if word in OPTUNAS else make(space)
    return sampler


def _foreign(word: str, make: Callable[..., object], space: Space, front: bool) -> "Sampler":
    from bneck.search.samplers.optuna_samplers import ForeignSampler

    return ForeignSampler(space, make, front=front, word=word)
