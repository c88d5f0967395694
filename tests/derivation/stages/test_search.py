"""What a plan's search aims at, and what scores its networks."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bneck.derivation.plan import Plan
from bneck.derivation.session import Session, open_run
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.scoring import scorer
from bneck.derivation.stages.search import _along_the_front, search_objectives
from bneck.derivation.training_budget import budget
from bneck.executors.serial import Serial
from bneck.progress import silent
from bneck.proxies.data.loading import load
from bneck.search.evaluation import Evaluate, TrainOnRungs
from bneck.search.objectives import Objectives
from bneck.search.reward import Absolute, Hard, Soft
from bneck.search.study import Study
from bneck.space import spaces
from tests.closed_form import MacsDevice

SPACE = spaces.build("v3-small", resolution_px=16, classes=10)
DEVICE: Any = SimpleNamespace(model=MacsDevice())


def objectives(*targets_ms: float, **asked: Any) -> Objectives:
    return search_objectives(Plan(target="1", **asked), SPACE, DEVICE, targets_ms)


@pytest.mark.parametrize(
    ("asked", "reward"),
    [
        ({}, None),  # soft, with a w that is derived
        ({"reward_exponent": -0.15}, Soft(0.5, -0.15)),
        ({"reward": "absolute"}, Absolute(0.5, -0.07)),
        ({"reward": "hard"}, Hard(0.5)),
    ],
)
def test_networks_are_sought_from_each_target_up_to_so_many_times_it(
    asked: dict[str, Any], reward: object
) -> None:
    one, other = objectives(0.5, 0.4, seed_factor=1.5, **asked).targets
    assert (one.reward, one.target_ms, one.floor_ms, one.ceiling_ms) == (reward, 0.5, 0.5, 0.75)
    assert (other.floor_ms, other.ceiling_ms) == (0.4, pytest.approx(0.6))
    assert objectives(0.5).targets[0].ceiling_ms == 0.625  # 1.25 times, unless asked


def test_a_front_is_sought_at_six_points_from_the_fastest_network_to_the_highest_ceiling() -> None:
    wanted = objectives(0.4, 0.8, reward="front", confidence=0.8)
    assert [(one.reward, one.floor_ms) for one in wanted.targets] == [(None, 0.0)] * 2
    found = _along_the_front(wanted, DEVICE, Plan(target="1", reward="front", confidence=0.8))
    points_ms = [one.target_ms for one in found.targets]
    assert (points_ms[0], points_ms[-1]) == (pytest.approx(wanted.fastest_ms()), pytest.approx(1.0))
    steps = [after / before for before, after in pairwise(points_ms)]
    assert steps == [pytest.approx(steps[0])] * 5
    assert {(one.reward, one.floor_ms, one.ceiling_ms) for one in found.targets} == {(None, 0, 1.0)}
    assert found.confidence == 0.8


def test_networks_are_scored_as_the_plan_says(tmp_path: Path) -> None:
    info = load("digits", resolution_px=16).info

    def scored(**asked: Any) -> tuple[Any, Any]:
        plan = Plan(data="digits", target="1", seed=3, balanced=True, **asked)
        folder = tmp_path / "-".join(asked)
        folder.mkdir()
        with open_run(plan, folder, silent) as run:
            session = Session(run, plan, Serial(), Serial())
            study = Study(run.journal, SPACE, sampler="random", seed=0)
            return scorer(session, RunData(info), study, None), budget(plan, info)

    task, asked = scored(folds=2)
    assert isinstance(task, Evaluate)
    assert (task.proxy, task.recipe, task.seed) == ("short-training", asked.search, 3)
    assert task.images == replace(asked.images, folds=2)
    assert (task.parent, task.score_as, task.labels_of) == (None, None, None)
    longer, asked = scored(promote=True)
    assert isinstance(longer, TrainOnRungs)
    assert (longer.short.recipe, longer.most_steps) == (asked.search, asked.most_search_steps)
    in_8_bits, _ = scored(score_int8=True, runtime="onnxruntime-int8")
    assert in_8_bits.score_as == "onnx-int8"
    assert scored(proxy="zen")[0].proxy == "zen"
