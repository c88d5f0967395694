"""What several measurements or sessions say together."""

import pytest

from bneck.latency.device_load import QUIET, Load
from bneck.latency.measurements import Session, load_of


def test_a_device_was_as_busy_as_in_each_second_and_as_slow_as_in_the_worst_session() -> None:
    """Of four seconds three had 1.2 cores of other programs; heat is not made up for later."""
    sessions = [Session(1.0, Load(0.0, 0.0, 0.2)), Session(3.0, Load(1.2, 0.04, 0.05))]
    found = load_of(sessions)
    assert (found.other_cores, found.stolen) == pytest.approx((0.9, 0.03))
    assert found.slowed == 0.2
    assert load_of([]) == QUIET
