"""What the default sampler learns from: which labels, and networks that are in evaluation."""

import math

import pytest

from bneck.search.samplers.history import LabelledNetwork
from bneck.search.samplers.online_surrogate import OnlineSurrogate, _kept
from bneck.space import spaces
from bneck.space.cost import cost

SPACE = spaces.build("nas-bench-macro", resolution_px=32, classes=10)


def accuracy(label: LabelledNetwork) -> float:
    return label.accuracy


def test_of_many_labels_the_best_half_and_the_latest_half_are_kept() -> None:
    values = SPACE.sample(0)
    labels = [
        LabelledNetwork(values, SPACE.decode(values), tenths / 10, 1.0)
        for tenths in (9, 1, 8, 2, 3, 7, 4, 5)
    ]
    assert [round(10 * one.accuracy) for one in _kept(labels, accuracy, 6)] == [9, 8, 3, 7, 4, 5]
    assert list(_kept(labels, accuracy, 8)) == labels


def test_networks_in_evaluation_are_expected_to_be_as_accurate_as_predicted() -> None:
    """GP-BUCB (Desautels et al. 2014): they change only how sure it is, most of themselves."""
    labels = []
    for seed in range(30):
        arch = SPACE.decode(values := SPACE.sample(seed))
        share = 1 / (1 + math.exp(13.5 - math.log(cost(arch).params)))
        labels.append(LabelledNetwork(values, arch, share, 1.0))
    archs = [SPACE.decode(SPACE.sample(seed)) for seed in range(100, 110)]
    before = OnlineSurrogate(labels, accuracy)
    after = OnlineSurrogate(labels, accuracy, archs[:1])
    assert after.accuracies(archs) == pytest.approx(before.accuracies(archs), abs=0.01)
    unsure = [
        one.accuracies(archs[:1], 1.0)[0] - one.accuracies(archs)[0] for one in (before, after)
    ]
    assert unsure[1] < 0.7 * unsure[0]
