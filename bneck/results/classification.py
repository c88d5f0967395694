"""How good a classifier is, from its probabilities on labelled images."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from bneck.quantities import Accuracy

BINS = 15


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class: its images, the share of them recognised, and how often the class is right.

    Attributes:
        precision: share right of those that were given this class; None where there were none.
        recall: share of the class's images that were given this class; None without images.
    """

    name: str
    images: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class Classification:
    """A classifier's figures on labelled images.

    Attributes:
        accuracy: share classified right (top-1), with its binomial standard error.
        balanced_accuracy: mean recall of the classes that have images.
        confusion: [true class][given class], numbers of images.
        confidence: mean probability of the class that was given.
        calibration_error: expected calibration error, by 15 bins of equal width (Guo et al. 2017,
            equation 3).
        log_loss: mean cross-entropy, in nats.
        calibration_error_by_chance: what the calibration error of so many images is on average
            where confidences are accuracies: few images in a bin are never right exactly as often
            as was expected. None in earlier versions.
    """

    accuracy: Accuracy
    balanced_accuracy: float
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    confidence: float
    calibration_error: float
    log_loss: float
    calibration_error_by_chance: float | None = None


def classification(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], names: Sequence[str]
) -> Classification:
    """Judge a classifier.

    Args:
        probabilities: (images, classes), rows that sum to 1.
        labels: (images,), 0 to classes - 1.
        names: of the classes.
    """
    count, classes = probabilities.shape
    given, sure = probabilities.argmax(1), probabilities.max(1)
    right = given == labels
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, given), 1)
    of_class, given_class, hits = confusion.sum(1), confusion.sum(0), confusion.diagonal()
    figures = tuple(
        ClassFigures(name, int(n), _share(hit, all_given), _share(hit, n))
        for name, n, all_given, hit in zip(names, of_class, given_class, hits, strict=True)
    )
    true = probabilities[np.arange(count), labels].astype(np.float64)
    return Classification(
        accuracy=Accuracy.counted(float(right.mean()), count),
        balanced_accuracy=float(np.mean([one.recall for one in figures if one.recall is not None])),
        classes=figures,
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        confidence=float(sure.mean()),
        calibration_error=_calibration_error(sure, right),
        log_loss=float(-np.log(true.clip(1e-12)).mean()),
        calibration_error_by_chance=_by_chance(sure),
    )


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _calibration_error(sure: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    bins = _bins(sure)
    gaps = [abs(float((right[bins == b] - sure[bins == b]).sum())) for b in range(BINS)]
    return sum(gaps) / len(sure)


def _by_chance(sure: NDArray[np.floating]) -> float:
    """The mean size of normal gaps, each with the variance of the answers for its bin's images."""
    bins, variances = _bins(sure), sure.astype(np.float64) * (1 - sure)
    deviations = [sqrt(variances[bins == b].sum()) for b in range(BINS)]
    return sqrt(2 / pi) * sum(deviations) / len(sure)


def _bins(sure: NDArray[np.floating]) -> NDArray[np.integer]:
    bins: NDArray[np.integer] = np.minimum((sure * BINS).astype(int), BINS - 1)
    return bins
