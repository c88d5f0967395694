"""Figures of a classifier, against scikit-learn and closed forms."""

import numpy as np
import pytest
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    log_loss,
    precision_score,
    recall_score,
)

from bneck.results.classification import classification

NAMES = ("a", "b", "c")


def test_figures_are_scikit_learns() -> None:
    random = np.random.default_rng(0)
    shares = random.dirichlet((1, 2, 1), 200)
    labels = random.choice(3, 200, p=(0.7, 0.2, 0.1))
    found, given = classification(shares, labels, NAMES), shares.argmax(1)
    assert found.accuracy.value == pytest.approx((given == labels).mean())
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, given))
    assert np.array_equal(found.confusion, confusion_matrix(labels, given))
    assert found.log_loss == pytest.approx(log_loss(labels, shares))
    recall = [one.recall for one in found.classes]
    precision = [one.precision for one in found.classes]
    assert recall == pytest.approx(recall_score(labels, given, average=None))
    assert precision == pytest.approx(precision_score(labels, given, average=None))


@pytest.mark.parametrize(("sure", "right", "error"), [(0.9, 9, 0.0), (0.9, 5, 0.4), (0.6, 10, 0.4)])
def test_calibration_is_the_gap_between_confidence_and_accuracy(
    sure: float, right: int, error: float
) -> None:
    shares = np.tile([sure, 1 - sure, 0], (10, 1))
    labels = np.array([0] * right + [1] * (10 - right))
    assert classification(shares, labels, NAMES).calibration_error == pytest.approx(error)


def test_confidences_are_told_apart_by_fifteenths() -> None:
    """0.62 is below ten fifteenths and 0.68 above: the gaps 0.38 and 0.68 do not cancel out."""
    shares = np.array([[0.62, 0.38, 0], [0.68, 0.32, 0]])
    found = classification(shares, np.array([0, 1]), NAMES)
    assert found.calibration_error == pytest.approx((0.38 + 0.68) / 2)


def test_chance_alone_is_what_a_perfectly_calibrated_classifier_has() -> None:
    """Drawn 300 times on 360 images; by chance alone about 4.6 points at a confidence of 80 %."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(300):
        sure = draw.beta(8, 2, 360)
        sure = np.maximum(sure, 0.5)
        right = draw.random(360) < sure
        shares = np.stack([sure, 1 - sure, np.zeros(360)], axis=1)
        found.append(classification(shares, np.where(right, 0, 1), NAMES))
    errors = [one.calibration_error for one in found]
    by_chance = [one.calibration_error_by_chance for one in found]
    assert np.mean(by_chance) == pytest.approx(np.mean(errors), rel=0.05)
    assert 0.04 < np.mean(errors) < 0.05


def test_a_class_without_images_has_no_recall_and_does_not_count() -> None:
    found = classification(np.eye(3)[[0, 0, 1]], np.array([0, 0, 1]), NAMES)
    assert found.classes[2].recall is None
    assert found.classes[2].precision is None
    assert found.balanced_accuracy == 1
