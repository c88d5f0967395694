"""The best networks are trained longer: which, when and to what end, the same on any executor."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bneck.derivation.plan import Plan
from bneck.derivation.validation import check
from bneck.errors import UsageError
from bneck.executors import open_executor
from bneck.executors.serial import Serial
from bneck.proxies.data.worker_images import WorkerImages
from bneck.proxies.training.recipe import Recipe
from bneck.results.record import Record
from bneck.search.evaluation import TrainOnRungs
from bneck.search.objectives import Objectives, Target
from bneck.search.promotion import search_steps, steps_on, trained_longest
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import Study
from bneck.space import spaces
from bneck.space.architecture import Architecture
from tests.closed_form import MacsDevice, accuracy
from tests.search.driver import SPACE
from tests.search.simulated import Simulated

NETWORKS = 27
SMALL = spaces.build("v3-small", resolution_px=16, classes=10)


def evaluate(arch: Architecture, rung: int = 0) -> float:
    """More steps, more accuracy."""
    return accuracy(arch) * (0.8 + rung / 10)


def searched(
    journal: Path, executor, evaluations: int = NETWORKS, *, parallel: int | None = 4, **asked
) -> list[Record]:
    study = Study(journal, SPACE, sampler="random", seed=0, parallel=parallel, promote=True)
    return search(
        study,
        asked.pop("evaluate", evaluate),
        objectives=Objectives(SPACE, MacsDevice(), [Target(Soft(1.0), ceiling_ms=1.5)]),
        evaluations=evaluations,
        executor=executor,
        **asked,
    )


def told(records: list[Record]) -> list[tuple]:
    return [(one.number, one.arch, one.rung, one.accuracy) for one in records]


def test_the_best_third_goes_on_and_their_best_third_again(tmp_path: Path) -> None:
    records = searched(tmp_path / "journal.log", Serial())
    on = {rung: [one for one in records if one.rung == rung] for rung in range(3)}
    assert len(on[0]) == NETWORKS
    for rung in (1, 2):
        rivals = sorted(on[rung - 1], key=lambda one: -one.reward)
        best = [one.arch for one in rivals[: len(rivals) // 3]]
        assert set(best) <= {one.arch for one in on[rung]}  # and those that were so for a while
        assert len(on[rung]) < 1.7 * len(best)
    assert max(Counter(one.arch for one in records).values()) == 3


@pytest.mark.parametrize("workers", [1, 5, 64])
def test_trials_do_not_depend_on_the_workers(tmp_path: Path, workers: int) -> None:
    expected = told(searched(tmp_path / "one.log", Serial()))
    assert told(searched(tmp_path / "other.log", Simulated(workers))) == expected


def test_a_search_that_is_broken_off_anywhere_ends_as_another(tmp_path: Path) -> None:
    expected = told(searched(tmp_path / "whole.log", Simulated(3)))
    draw = random.Random(0)
    left = len(expected)

    def breaks(*news: object) -> None:
        nonlocal left
        if draw.random() < 0.2:
            raise KeyboardInterrupt

    for _ in range(60):
        try:
            records = searched(tmp_path / "broken.log", Simulated(3), progress=breaks)
            break
        except KeyboardInterrupt:
            continue
    assert told(records) == expected


def test_an_eager_search_promotes_too(tmp_path: Path) -> None:
    records = searched(tmp_path / "journal.log", Simulated(5), parallel=None)
    assert {one.rung for one in records} == {0, 1, 2}


def test_more_networks_may_be_asked_for_afterwards(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    first = searched(journal, Serial(), 9)
    more = searched(journal, Serial(), 18)
    assert told(more)[: len(first)] == told(first)
    assert sum(one.rung == 0 for one in more) == 18


def test_a_longer_training_that_fails_leaves_the_shorter_ones_label(tmp_path: Path) -> None:
    def fails_on(arch: Architecture, rung: int = 0) -> float:
        return float("nan") if rung == 2 else evaluate(arch, rung)

    records = searched(tmp_path / "journal.log", Serial(), evaluate=fails_on)
    longest = trained_longest(records)
    assert len(longest) == NETWORKS
    assert all(one.accuracy is not None for one in longest)
    assert max(one.rung for one in longest) == 1


def test_steps_of_rungs() -> None:
    assert [steps_on(rung, 100) for rung in range(3)] == [100, 200, 600]
    assert search_steps(90, 100) == 90 * 100 + 30 * 200 + 10 * 600


def test_a_longer_training_begins_where_the_shorter_one_ended(tmp_path: Path) -> None:
    images = WorkerImages("digits", 16, 16, 0, 64, 32)
    task = TrainOnRungs(images, Recipe(2, 16), 0, tmp_path / "search")
    arch = SMALL.decode(SMALL.sample(0))
    first, second = task(arch), task(arch, rung=1)
    assert first.made_with["steps"] == "2"
    assert second.made_with["steps"] == "6"
    assert task(arch, rung=1) == second  # trained again from the same weights
    assert len(list((tmp_path / "search").iterdir())) == 2
    elsewhere = replace(task, folder=tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"elsewhere/.*-0\.safetensors"):
        elsewhere(arch, rung=1)


def test_promotion_through_processes(tmp_path: Path) -> None:
    executor = open_executor(2)
    try:
        records = searched(tmp_path / "journal.log", executor, 9)
    finally:
        executor.close()
    assert told(records) == told(searched(tmp_path / "serial.log", Serial(), 9))


def test_only_what_trains_can_be_promoted() -> None:
    with pytest.raises(UsageError, match="--promote continues trainings, so it needs the proxy sh"):
        check(Plan(target="1", promote=True, proxy="params"), trains=False)
    check(Plan(target="1", promote=True), trains=False)
