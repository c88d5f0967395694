"""Figures with how sure they are, against closed formulas."""

import pytest

from bneck.quantities import Accuracy, is_finite


@pytest.mark.parametrize(
    ("right", "images", "stderr"),
    [
        (360, 480, (0.75 * 0.25 / 480) ** 0.5),
        (1, 480, (1 * 479) ** 0.5 / 480**1.5),
        (480, 480, (0.5 * 479.5) ** 0.5 / 480**1.5),  # as of 479.5
        (0, 20, (0.5 * 19.5) ** 0.5 / 20**1.5),
        (1, 1, 0.5),
    ],
)
def test_the_standard_error_of_a_share_is_binomial_and_never_nothing(
    right: int, images: int, stderr: float
) -> None:
    found = Accuracy.counted(right / images, images)
    assert found.value == right / images
    assert found.stderr == pytest.approx(stderr)


@pytest.mark.parametrize(
    ("value", "finite"),
    [
        (3, True),
        (-0.5, True),
        (10**308, True),
        (10**400, False),
        (-(10**400), False),
        (float("inf"), False),
        (float("nan"), False),
        (True, False),
        ("3", False),
        (None, False),
    ],
)
def test_a_number_is_finite_where_a_float_can_hold_it(value: object, finite: bool) -> None:
    assert is_finite(value) is finite
