"""How much each timing counts in a fit."""

import pytest

from bneck.latency.fit import MISFIT, trusted
from bneck.latency.timing import Timing


def test_a_timing_that_scattered_counts_less() -> None:
    """As much as a fit misses of any network: half as much, by variances, and 1 on average."""
    timings = [Timing(1.0, spread, 1.0, 0.02, 6, True) for spread in (0.0, MISFIT)]
    assert trusted(timings).tolist() == pytest.approx([4 / 3, 2 / 3])
