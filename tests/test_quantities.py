"""Figures with how sure they are, against closed formulas."""

import pytest

from bneck.quantities import Accuracy


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
