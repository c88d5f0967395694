"""How the next network is proposed: samplers of ours and of Optuna, one word each in SAMPLERS."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from bneck.errors import UsageError
from bneck.imports import check_call, load_object
from bneck.space.choices import Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

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
"""Those that make one of Optuna's samplers from a seed; the others are classes of ours."""


def find(word: str) -> Callable[[Space, bool], "Sampler"]:
    """Return what makes the sampler of a word in ``SAMPLERS``, or of ``package.module:attr``.

    The latter is a sampler of Optuna, or a function that returns one; it is called with ``seed=``.
    What is returned takes the space, and whether accuracy and latency are two objectives.

    Raises:
        UsageError: an unknown word, or nothing that can be imported.
    """
    if word not in SAMPLERS:
        make = load_object("sampler", word, SAMPLERS)
        if not callable(make):
            raise UsageError(f"sampler {word!r} must be a class or function, and is {make!r:.60}")
        check_call("sampler", word, make, seed=0)
        return partial(_named, word, make)
    if word in OPTUNAS:
        return partial(_optunas, lambda seed: _attribute(word)(seed))
    return lambda space, front: _attribute(word)(space)


def _attribute(word: str) -> Any:
    return load_object("sampler", word, SAMPLERS)


def _optunas(make: Callable[[int], "BaseSampler"], space: Space, front: bool) -> "Sampler":
    from bneck.search.samplers.optuna_samplers import OptunaSampler

    return OptunaSampler(space, make, front=front)


def _named(word: str, make: Callable[..., object], space: Space, front: bool) -> "Sampler":
    from bneck.search.samplers.optuna_samplers import ForeignSampler

    return ForeignSampler(space, partial(_foreign, word, make), front=front, word=word)


def _foreign(word: str, make: Callable[..., object], seed: int) -> "BaseSampler":
    from optuna.samplers import BaseSampler

    try:
        sampler = make(seed=seed)
    except TypeError as error:
        raise UsageError(f"{word!r} cannot be called with a seed: {error}") from error
    if not isinstance(sampler, BaseSampler):
        kind = type(sampler).__name__
        raise UsageError(f"{word!r} returned a {kind}, not an Optuna sampler")
    return sampler
