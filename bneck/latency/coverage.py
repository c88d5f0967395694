"""Whether a calibration on a space can predict a network at all, before anything is timed."""

from collections.abc import Iterable

from bneck.latency.features import Blocking, features, kernels, label, refines
from bneck.space.architecture import Architecture
from bneck.space.choices import Space

NOTHING_NEW = 500
"""Random networks without anything new after which all of a space is taken as seen."""
_LOOKED_AT = 20
"""Random networks of a space that are enough to tell another space from it."""
_ANY = Blocking(1, 1)
"""Which features there are depends on the blocking only where channels are not aligned to it."""


def never_timed(space: Space, arch: Architecture) -> str | None:
    """Return, in words, the first kernel that networks of ``space`` tell nothing of, or None.

    None is not a promise: a calibration may miss what few networks of the space have.
    """
    lacking = _features(arch)
    seed = last_new = 0
    while lacking and seed - last_new <= NOTHING_NEW:
        found = _features(space.decode(space.sample(seed)))
        if lacking.keys() & found.keys():
            lacking = {name: where for name, where in lacking.items() if name not in found}
            last_new = seed
        seed += 1
    return next(iter(lacking.values()), None)


def foreign_to(space: Space, networks: Iterable[Architecture]) -> str | None:
    """Return, in words, a kernel of ``space`` that networks of another tell nothing of, or None.

    Few networks of a space lack what is rare there, so all of some random ones must have such a
    kernel; what the first one has is told.
    """
    timed = {name for one in networks for name in _features(one)}
    found = [_features(space.decode(space.sample(seed))) for seed in range(_LOOKED_AT)]
    lacking = [[where for name, where in one.items() if name not in timed] for one in found]
    return lacking[0][0] if all(lacking) else None


def _features(arch: Architecture) -> dict[str, str]:
    """Name of each feature that a model cannot do without -> the first kernel that has it."""
    found: dict[str, str] = {}
    for path, kernel in kernels(arch.layers()):
        for name in features(kernel, _ANY):
            if not refines(name):
                found.setdefault(name, f"{path} ({label(kernel)})")
    return found
