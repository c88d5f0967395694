"""Numbers as people read them."""

import pytest

from bneck.quantities import Accuracy
from bneck.units import byte_size, count, decimals, duration, percent, with_spread


def test_numbers_as_people_read_them() -> None:
    assert [decimals(ms) for ms in (0.0123, 0.31, 1.9, 31.0, 310.0, 0.0)] == [4, 3, 2, 1, 0, 3]
    assert [count(n) for n in (12, 954_321, 2_542_856, 56_500_000)] == [
        "12", "954 k", "2.54 M", "56.5 M",
    ]  # fmt: skip
    assert [count(n) for n in (999, 999_499, 999_600, 999_999_999)] == [
        "999", "999 k", "1.00 M", "1.00 G",
    ]  # fmt: skip
    assert [duration(s) for s in (12.46, 59.99, 303, 4325)] == [
        "12 s", "60 s", "5 min 3 s", "1 h 12 min",
    ]  # fmt: skip
    assert percent(Accuracy(0.93125, 0.0041)) == "93.1 ± 0.4 %"


@pytest.mark.parametrize(
    ("spread", "text"),
    [
        (None, "0.139"),
        (0.003, "0.139 ± 0.003"),
        (0.0006, "0.139 ± 0.001"),
        (0.0002, "0.139 ± 0.0002"),  # never "± 0.000"
        (0.00004, "0.139 ± 0.00004"),
        (0.0, "0.139 ± 0.000"),
    ],
)
def test_no_spread_reads_as_none(spread: float | None, text: str) -> None:
    assert with_spread(0.139, spread, 3) == text


def test_a_size_is_said_in_the_unit_that_fits() -> None:
    """10,000 photos at 224 px take 1.5 GB, as the documentation says."""
    squares = [count * 3 * side**2 for count, side in ((1, 8), (80, 16), (80, 120), (10_000, 224))]
    assert [byte_size(one) for one in squares] == ["192 B", "61.4 kB", "3.5 MB", "1.5 GB"]


def test_durations() -> None:
    assert [duration(s) for s in (2.46, 45, 89.6, 600, 6000)] == [
        "2.5 s",
        "45 s",
        "90 s",
        "10 min",
        "1 h 40 min",
    ]
