"""What white is in pixels of any range, and the same pixels in 8 bits."""

import numpy as np
from numpy.typing import NDArray

WHITES = (255, 1023, 4095, 16383, 65535, 2**31 - 1, 2**32 - 1)
"""Values that may mean white in integers of more than 8 bits."""
FLOAT_WHITES = (1, 255, 65535)


def scaled(values: NDArray[np.generic], white: int) -> NDArray[np.uint8]:
    """Scale pixel values, 0 to ``white``, to uint8; 16 bits lose their lower eight."""
    if white == 65535 and values.dtype.kind in "iu":
        return (values.astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
    if white == 255 and values.dtype == np.uint8:  # not copied: there may be many
        return values.astype(np.uint8, copy=False)
    if white == 255 and values.dtype.kind in "iu":
        return values.clip(0, 255).astype(np.uint8)
    return np.rint(values.astype(np.float64) * (255 / white)).clip(0, 255).astype(np.uint8)


def white_of(largest: float, *, floats: bool) -> int | None:
    """The smallest usual range that holds a value, or None."""
    return next((white for white in (FLOAT_WHITES if floats else WHITES) if largest <= white), None)
