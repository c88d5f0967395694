"""Figures with how sure they are, against closed formulas."""

import numpy as np
import pytest

from bneck.quantities import (
    Accuracy,
    difference,
    is_finite,
    marks,
    standard_deviation,
    standard_error,
)


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


def test_a_difference_on_the_same_images_has_the_error_of_pairs() -> None:
    """Agresti, Categorical Data Analysis, section 10.1: 1,600 asked twice, 0.04 +- 0.0095."""
    both, first, second, neither = 794, 150, 86, 570
    ours = "1" * (both + first) + "0" * (second + neither)
    theirs = "1" * both + "0" * first + "1" * second + "0" * neither
    accuracies = [Accuracy.counted(one.count("1") / 1600, 1600) for one in (ours, theirs)]
    found = difference(*accuracies, ours, theirs)
    assert found.value == pytest.approx(0.04)
    assert found.stderr == pytest.approx(0.0095, abs=0.00005)
    apart = difference(*accuracies)  # as if each had been counted on other people
    assert apart.value == found.value
    assert apart.stderr == pytest.approx(0.0175, abs=0.0001)
    assert difference(*accuracies, ours, "") == difference(*accuracies, ours, theirs[1:]) == apart
    assert difference(accuracies[0], accuracies[0], ours, ours) == Accuracy(0.0, 0.0)


@pytest.mark.parametrize("images", [1, 2, 5])
def test_images_that_all_tell_for_one_network_are_few_nevertheless(images: int) -> None:
    """As of one accuracy that is 0 or 100 %, the error is that of half an image: 1 - 1 / 2n."""
    ours, theirs = Accuracy.counted(1.0, images), Accuracy.counted(0.0, images)
    found = difference(ours, theirs, "1" * images, "0" * images)
    assert found.value == 1
    assert found.stderr == pytest.approx((1 - 0.25 / images) ** 0.5 / images)
    assert difference(theirs, ours, "0" * images, "1" * images).stderr == found.stderr


def test_a_difference_from_an_accuracy_of_unknown_error_has_none_either() -> None:
    known, unknown = Accuracy(0.75, 0.01), Accuracy(0.5)
    assert difference(known, unknown) == Accuracy(0.25)
    assert difference(unknown, known) == Accuracy(-0.25)
    assert difference(known, unknown, "1110", "1100").stderr is not None  # the images tell


def test_two_standard_errors_in_pairs_are_passed_by_chance_one_time_in_twenty() -> None:
    """Of networks of 80 % that are right or wrong on 86 % of the images together."""
    draw = np.random.default_rng(0)
    beyond = 0
    for _ in range(1000):
        kinds = draw.choice(4, 400, p=(0.73, 0.13, 0.07, 0.07))
        ours, theirs = marks((kinds == 0) | (kinds == 2)), marks((kinds == 0) | (kinds == 3))
        counted = [Accuracy.counted(one.count("1") / 400, 400) for one in (ours, theirs)]
        found = difference(*counted, ours, theirs)
        beyond += abs(found.value) > 2 * (found.stderr or 0.0)
    assert 0.035 < beyond / 1000 < 0.06
