"""What 8 bits cost a network, in words."""

from bneck import units
from bneck.results.record import Int8
from bneck.text import number_of

WORTH_A_WORD = 0.01
"""Share of the images lost in 8 bits that is said aloud."""


def cost_of_int8(int8: Int8) -> str:
    """Return the accuracy in 8 bits beside that in floats, and a loss above 1 point with its why.

    Args:
        int8: what 8 bits cost.
    """
    words = (
        f"{units.percent(int8.accuracy)} of {number_of(int8.images, 'validation image')} right in "
        f"8 bits, {units.percent(int8.float_accuracy)} in float ({int8.way})"
    )
    if int8.lost.value <= WORTH_A_WORD:
        return words
    points = units.with_spread(100 * int8.lost.value, 100 * (int8.lost.stderr or 0.0), 1)
    best = int8.tried[int8.way]
    return (
        f"{words}; 8 bits lose {points} points: of {len(int8.tried)} ways tried, the best gives "
        f"{units.percent(best)} of training images the class that the float network gives them"
    )
