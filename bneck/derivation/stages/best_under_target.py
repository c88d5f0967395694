"""Which network is named for each of several targets: a faster one may be the more accurate."""

from collections.abc import Sequence
from math import hypot

from bneck.quantities import Accuracy

STANDARD_ERRORS = 2.0
"""Of the difference of two accuracies: what is beyond is not noise."""


def most_accurate_under(
    targets_ms: Sequence[float], accuracies: Sequence[Accuracy]
) -> tuple[int, ...]:
    """Return for each target the place of the network that is named for it.

    That is the target's own, unless the best one of a faster target is more accurate beyond noise.

    Args:
        targets_ms: the targets.
        accuracies: of the network that was derived for each, in the same order.
    """
    found = {}
    order = sorted(range(len(targets_ms)), key=lambda place: targets_ms[place])
    best = order[0]
    for place in order:
        ours, theirs = accuracies[place], accuracies[best]
        noise = STANDARD_ERRORS * hypot(ours.stderr or 0.0, theirs.stderr or 0.0)
        found[place] = best if theirs.value - ours.value > noise else place
        if ours.value > theirs.value:
            best = place
    return tuple(found[place] for place in range(len(targets_ms)))
