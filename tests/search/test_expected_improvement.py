"""What one more evaluation of a search promises, in closed form."""

from collections.abc import Callable
from dataclasses import replace
from math import log
from pathlib import Path

import pytest

from bneck.executors.serial import Serial
from bneck.results.record import Record
from bneck.search.expected_improvement import describe_gain, expected_gain, improvement
from bneck.search.objectives import Objective, Objectives, Target
from bneck.search.reward import Absolute, Reward, Soft
from bneck.search.samplers.history import LabelledNetwork
from bneck.search.search import search
from bneck.search.study import Study
from bneck.space import spaces
from bneck.space.architecture import Architecture
from bneck.space.choices import Space, Values


def test_improvement_is_that_of_a_normal_variable() -> None:
    # E max(0, x) of a standard normal is 1 / sqrt(2 pi); far above it is the distance.
    assert improvement(0.0, 1.0, 0.0) == pytest.approx(0.39894, abs=1e-5)
    assert improvement(9.0, 10.0, 0.0) == pytest.approx(9.0, abs=1e-6)
    assert improvement(-9.0, -8.0, 0.0) == pytest.approx(0.0, abs=1e-9)
    assert improvement(0.3, 0.3, 0.1) == pytest.approx(0.2)


def test_what_a_label_is_worth_falls_with_what_is_known(
    space: Space, model, by_macs: Callable[[Architecture], float], tmp_path: Path
) -> None:
    objective = Objective(lambda arch: model.predict(arch).ms, Soft(2.0), 2.0)
    objectives = Objectives(space, model, [Target(objective.reward, 2.0, ceiling_ms=2.0)])
    gains: dict[int, float | None] = {}
    for evaluations in (4, 10, 24):
        study = Study(tmp_path / "journal", space, sampler="surrogate", seed=0)
        search(study, by_macs, objectives=objectives, evaluations=evaluations, executor=Serial())
        gains[evaluations] = expected_gain(study.labels(), space, objective)
    assert gains[4] is None
    assert gains[10] is not None
    assert gains[24] is not None
    assert 0 <= gains[24] < gains[10] < 0.2


@pytest.mark.parametrize("reward", [Absolute(1.0, -0.07), Absolute(1.0, -10.0), Soft(20.0, -1.0)])
def test_a_gain_is_counted_in_accuracy_whatever_the_reward_makes_of_it(
    space: Space, model, by_macs: Callable[[Architecture], float], tmp_path: Path, reward: Reward
) -> None:
    """What the reward loses or is multiplied by, at one latency, changes no point of accuracy."""

    def at_2_ms(arch: Architecture) -> float:
        return 2.0

    study = Study(tmp_path / "journal", space, sampler="random", seed=0)
    objectives = Objectives(space, model, [Target(Soft(2.0), 2.0)])
    search(study, by_macs, objectives=objectives, evaluations=10, executor=Serial())
    labels = [replace(label, latency_ms=2.0) for label in study.labels()]
    plain = expected_gain(labels, space, Objective(at_2_ms, Soft(2.0)))
    other = expected_gain(labels, space, Objective(at_2_ms, reward))
    assert plain is not None
    assert 0 < plain < 0.2
    assert other == pytest.approx(plain)


def test_only_what_is_new_and_allowed_promises_a_gain(space: Space) -> None:
    """Where a target admits just the networks that are known, none; where it admits none, None."""
    values = [space.sample(seed) for seed in range(10)]
    labels = [
        LabelledNetwork(one, space.decode(one), 0.3 + place / 20, 1.0)
        for place, one in enumerate(values)
    ]
    known = {label.arch for label in labels}

    def gain(known_ms: float, other_ms: float) -> float | None:
        objective = Objective(
            lambda arch: known_ms if arch in known else other_ms, Soft(1.0), ceiling_ms=2.0
        )
        return expected_gain(labels, space, objective)

    assert gain(1.0, 1.0) > 0
    assert gain(1.0, 3.0) == 0
    assert gain(3.0, 1.0) is None


def test_a_space_whose_networks_are_all_known_promises_nothing() -> None:
    whole = spaces.build("nas-bench-macro", resolution_px=32, classes=10)
    ops = ("identity", "k3e3", "k5e6")

    def decode(values: Values) -> Architecture:
        return whole.decode({**dict.fromkeys(whole.choices, "identity"), **values})

    tiny = Space("tiny", {"s1.b1.op": ops, "s2.b1.op": ops}, decode)
    labels = [
        LabelledNetwork(one, decode(one), 0.3 + place / 20, 1.0)
        for place, one in enumerate(tiny.all())
    ]
    assert expected_gain(labels, tiny, Objective(lambda arch: 1.0, Soft(1.0))) == 0


def test_a_reward_of_ones_own_is_asked_for_accuracies_from_0_to_1_alone(
    space: Space, model, by_macs: Callable[[Architecture], float]
) -> None:
    """Of networks that are nearly always right, a standard deviation more is above 1."""

    def log_odds(accuracy: float, latency_ms: float) -> float:
        return log(accuracy / (1 - accuracy))

    values = [space.sample(seed) for seed in range(10)]
    labels = [
        LabelledNetwork(one, space.decode(one), accuracy, 1.0)
        for one, accuracy in zip(values, (0.7, *[0.999] * 3) * 3, strict=False)
    ]
    gain = expected_gain(labels, space, Objective(lambda arch: 1.0, log_odds))
    assert gain is not None
    assert 0 <= gain < 0.2


def test_the_sentence_sets_the_gain_beside_its_price(space: Space) -> None:
    arch = space.decode(space.sample(0))
    records = [Record(n, arch, 0.5, 1.0, 0.5, None, 60.0 + n) for n in range(3)]
    assert describe_gain(0.0123, records) == (
        "one more network is expected to gain 1.23 points of accuracy, for about 61 s"
    )
    assert "too few labels" in describe_gain(None, records)
    longer = [replace(record, seconds=9 * record.seconds, rung=2) for record in records]
    assert describe_gain(0.0123, [*records, *longer]).endswith("for about 61 s")
