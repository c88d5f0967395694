"""Which network is named for each of several targets: a faster one may be the more accurate."""

from collections.abc import Sequence

from bneck.quantities import Accuracy, difference

STANDARD_ERRORS = 2.0
"""Standard errors beyond which a difference of two accuracies is not noise."""


def most_accurate_under(
    targets_ms: Sequence[float],
    accuracies: Sequence[Accuracy],
    right: Sequence[str] | None = None,
    *,
    standard_errors: float = STANDARD_ERRORS,
) -> tuple[int, ...]:
    """Return for each target the place of the network that is named for it.

    That is the target's own, unless the best one of a faster target is more accurate beyond noise.

    Args:
        targets_ms: the targets.
        accuracies: of the network that was derived for each, in the same order.
        right: the ``marks`` of the images that each was counted on, the same images for all; None
            where these are not known, or other networks than these are judged.
        standard_errors: of the difference, beyond which it counts as real, not as noise.
    """
    marks = right or [""] * len(accuracies)
    found = {}
    order = sorted(range(len(targets_ms)), key=lambda place: targets_ms[place])
    best = order[0]
    for place in order:
        ahead = difference(accuracies[best], accuracies[place], marks[best], marks[place])
        beyond = ahead.stderr is not None and ahead.value > standard_errors * ahead.stderr
        found[place] = best if beyond else place
        if ahead.value < 0:
            best = place
    return tuple(found[place] for place in range(len(targets_ms)))
