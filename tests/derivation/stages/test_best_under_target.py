"""A slower target is not named a network that is less accurate than a faster one."""

from bneck.derivation.stages.best_under_target import most_accurate_under
from bneck.quantities import Accuracy


def accuracies(*percent: float, stderr: float = 0.45) -> list[Accuracy]:
    return [Accuracy(one / 100, stderr / 100) for one in percent]


def test_the_faster_network_is_named_where_it_is_better_beyond_noise() -> None:
    """The recorded family on CIFAR-10, 10,000 validation images: 1.5 x fell to 71.9 %."""
    targets = [1.5, 1.0, 0.8, 0.6]
    assert most_accurate_under(targets, accuracies(71.9, 76.0, 73.9, 73.8)) == (1, 1, 2, 3)


def test_differences_within_noise_leave_each_target_its_own() -> None:
    found = most_accurate_under([0.6, 0.8, 1.0], accuracies(74.5, 74.0, 73.5))
    assert found == (0, 1, 2)


def test_small_steps_down_do_not_add_up() -> None:
    found = most_accurate_under([1, 2, 3, 4], accuracies(76.0, 75.0, 74.0, 73.0))
    assert found == (0, 1, 0, 0)


def test_networks_that_err_on_the_same_images_are_told_apart_by_fewer() -> None:
    """Of 1,000 images the slower network loses 20 and wins 5: 1.5 points, 0.5 in pairs."""
    faster, slower = "1" * 800 + "0" * 200, "0" * 20 + "1" * 785 + "0" * 195
    counted = [Accuracy.counted(one.count("1") / 1000, 1000) for one in (faster, slower)]
    assert most_accurate_under([1, 2], counted, [faster, slower]) == (0, 0)
    assert most_accurate_under([1, 2], counted) == (0, 1)  # as if each had images of its own


def test_a_difference_of_unknown_error_is_not_taken_for_one_beyond_noise() -> None:
    assert most_accurate_under([1, 2], [Accuracy(0.75), Accuracy(0.74)]) == (0, 1)
