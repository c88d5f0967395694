"""Figures with how sure they are, against closed formulas."""

import pytest

from bneck.quantities import Accuracy, is_finite, standard_deviation, standard_error


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


def test_the_error_of_a_mean_is_its_samples_deviation_over_the_root_of_their_number() -> None:
    values = (1.0, 2.0, 3.0, 4.0)  # squares about 2.5: 2.25 + 0.25 + 0.25 + 2.25 = 5
    assert standard_deviation(values) == pytest.approx((5 / 3) ** 0.5)
    assert standard_error(values) == pytest.approx((5 / 3) ** 0.5 / 2)
    assert standard_deviation(values[:1]) is standard_error(values[:1]) is None
