"""The best networks are trained longer: which, when and to what end, the same on any executor."""

import random
from pathlib import Path
from typing import Any

import pytest

from bneck.derivation.plan import Plan
from bneck.derivation.session import Session, open_run
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.scoring import scorer
from bneck.derivation.validation import check
from bneck.errors import ProxyFailed, UsageError
from bneck.executors import open_executor
from bneck.executors.serial import Serial
from bneck.machine import ONE_THREAD
from bneck.progress import silent
from bneck.proxies.data.loading import load
from bneck.proxies.data.worker_images import WorkerImages, for_proxies
from bneck.proxies.training.checkpoint import steps_done
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import TrainingResult, train
from bneck.results.record import Record
from bneck.search.evaluation import Evaluate, TrainOnRungs
from bneck.search.objectives import Objectives, Target
from bneck.search.promotion import search_steps, steps_on, trained_longest
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import Study
from bneck.space import spaces
from bneck.space.architecture import Architecture
from bneck.space.backends.torch_model import build
from tests.closed_form import MacsDevice, accuracy
from tests.search.driver import SPACE
from tests.search.simulated import Simulated
from tests.small_networks import three_blocks
from tests.unseen import unseen

pytestmark = pytest.mark.usefixtures("forks_have_torch")

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
        objectives=asked.pop(
            "objectives", Objectives(SPACE, MacsDevice(), [Target(Soft(1.0), ceiling_ms=1.5)])
        ),
        evaluations=evaluations,
        executor=executor,
        **asked,
    )


def told(records: list[Record]) -> list[tuple]:
    return [(one.number, one.arch, one.rung, one.accuracy) for one in records]


def test_the_best_four_are_promoted_at_the_end_and_the_best_two_of_them_again(
    tmp_path: Path,
) -> None:
    records = searched(tmp_path / "journal.log", Serial())
    assert [one.rung for one in records] == [0] * NETWORKS + [1] * 4 + [2] * 2
    for rung, count in ((1, 4), (2, 2)):
        rivals = sorted(
            (one for one in records if one.rung == rung - 1), key=lambda one: -one.reward
        )
        assert [one.arch for one in records if one.rung == rung] == [
            one.arch for one in rivals[:count]
        ]
    again = Study(tmp_path / "journal.log", SPACE, sampler="random", seed=0, promote=True)
    labels = {label.arch: label.accuracy for label in again.labels()}
    assert labels == {one.arch: one.accuracy for one in records[:NETWORKS]}
    assert len(again.labels()) == NETWORKS  # a longer training is not a label of its own


def test_every_target_has_its_finalists(tmp_path: Path) -> None:
    targets = [Target(Soft(ms), ms, 1.25 * ms, ms) for ms in (0.8, 1.1)]
    objectives = Objectives(SPACE, MacsDevice(), targets)
    records = searched(tmp_path / "journal.log", Serial(), objectives=objectives)
    longest = [one.arch for one in records if one.rung == 2]
    allowed = [[one.allows(arch) for arch in longest] for one in objectives.at([])]
    assert [sum(found) for found in allowed] == [2, 2]


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


def fails_on_the_last_rung(arch: Architecture, rung: int = 0) -> float:
    return float("nan") if rung == 2 else evaluate(arch, rung)


def test_a_longer_training_that_fails_leaves_the_shorter_ones_label(tmp_path: Path) -> None:
    records = searched(tmp_path / "journal.log", Serial(), evaluate=fails_on_the_last_rung)
    longest = trained_longest(records)
    assert len(longest) == NETWORKS
    assert all(one.accuracy is not None for one in longest)
    assert max(one.rung for one in longest) == 1


def test_longer_trainings_are_told_of_and_those_that_failed(tmp_path: Path) -> None:
    told_of: list[tuple[str, int, int, str]] = []
    searched(
        tmp_path / "journal.log",
        Serial(),
        evaluate=fails_on_the_last_rung,
        progress=lambda what, done, total, note: told_of.append(
            (what, done, total, note.partition("best so far")[0])
        ),
    )
    assert told_of[NETWORKS - 1] == ("search", NETWORKS, NETWORKS, "w -0.07; ")
    longer = list(dict.fromkeys(told_of[NETWORKS:]))  # told at the start of each, and at its end
    assert longer == [
        *(("longer trainings", done, 6, "w -0.07; ") for done in range(5)),
        ("longer trainings", 5, 6, "1 longer training failed; w -0.07; "),
        ("longer trainings", 6, 6, "2 longer trainings failed; w -0.07; "),
    ]


def test_longer_trainings_end_where_targets_share_networks(tmp_path: Path) -> None:
    told_of: list[tuple[str, int, int]] = []
    records = searched(
        tmp_path / "journal.log",
        Serial(),
        objectives=Objectives(SPACE, MacsDevice(), [Target(Soft(1.0), ceiling_ms=1.5)] * 2),
        progress=lambda what, done, total, note: told_of.append((what, done, total)),
    )
    longer = sum(one.rung > 0 for one in records)
    assert longer == 6
    assert told_of[-2:] == [("longer trainings", longer, 12), ("longer trainings", longer, longer)]


def test_steps_of_rungs() -> None:
    assert [steps_on(rung, 100) for rung in range(3)] == [100, 300, 900]
    assert search_steps(90, 1, 100, 900) == 90 * 100 + 4 * 300 + 2 * 900
    assert search_steps(90, 3, 100, 900) == 90 * 100 + 12 * 300 + 6 * 900
    assert search_steps(3, 1, 100, 900) == 3 * 100 + 3 * 300 + 2 * 900
    assert search_steps(90, 1, 100, 500) == 90 * 100 + 4 * 300 + 2 * 500
    assert search_steps(90, 3, 100, 500, widened=2) == 90 * 100 + 12 * 300 + (6 + 2) * 500


def test_a_longer_training_is_one_of_its_own_and_no_longer_than_the_final(tmp_path: Path) -> None:
    images = WorkerImages("digits", 16, 16, 0, 64, 32)
    short = Evaluate(images, "short-training", Recipe(2, 16), 0)
    task = TrainOnRungs(short, tmp_path / "search", most_steps=15)
    arch = SMALL.decode(SMALL.sample(0))
    labels = [task(arch, rung=rung) for rung in (2, 0, 1)]
    assert [one.made_with["steps"] for one in labels] == ["15", "2", "6"]
    alone = train(
        build(arch, seed=1), for_proxies(images), Recipe(6, 16), seed=1, compute=ONE_THREAD
    )
    assert labels[2].accuracy == alone.accuracy.value
    assert not list((tmp_path / "search").iterdir())  # no checkpoint is left


def test_a_node_that_does_not_see_the_run_keeps_no_checkpoints(tmp_path: Path) -> None:
    """It made the whole path of the run's folder there, or ended the search where it could not."""
    short = Evaluate(WorkerImages("digits", 16, 16, 0, 64, 32), "short-training", Recipe(2, 16), 0)
    arch = three_blocks(resolution_px=16, classes=10)
    (tmp_path / "checkpoints").mkdir()
    here = TrainOnRungs(short, tmp_path / "checkpoints" / "search", most_steps=20)
    elsewhere = TrainOnRungs(short, tmp_path / "node" / "checkpoints" / "search", most_steps=20)
    label = here(arch, rung=1)
    assert elsewhere(arch, rung=1) == label
    assert not (tmp_path / "node").exists()
    with unseen(tmp_path):
        assert here(arch, rung=1) == label
    (tmp_path / "node").touch()  # something else of that name
    assert elsewhere(arch, rung=1) == label


@pytest.mark.parametrize("ending", [KeyboardInterrupt, ProxyFailed])
def test_folds_that_are_trained_are_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: type[BaseException]
) -> None:
    short = Evaluate(WorkerImages("digits", 16, 16, 0, folds=3), "short-training", Recipe(2, 16), 0)
    arch = three_blocks(resolution_px=16, classes=10)
    whole = TrainOnRungs(short, tmp_path / "whole", most_steps=20)(arch, rung=1)
    begun_at: list[int | None] = []

    def ends_in_the_third(*given: Any, checkpoint: Path, **more: Any) -> TrainingResult:
        begun_at.append(steps_done(checkpoint))
        if len(begun_at) == 3:
            raise ending
        return train(*given, checkpoint=checkpoint, **more)

    monkeypatch.setattr("bneck.search.evaluation.train", ends_in_the_third)
    task = TrainOnRungs(short, tmp_path / "search", most_steps=20)
    with pytest.raises(ending):
        task(arch, rung=1)
    kept = len(list(task.folder.iterdir()))
    assert kept == (0 if ending is ProxyFailed else 2)
    assert task(arch, rung=1) == whole
    assert begun_at == [None] * 3 + [6] * kept + [None] * (3 - kept)
    assert not list(task.folder.iterdir())


def test_a_run_keeps_the_length_of_its_longest_trainings(tmp_path: Path) -> None:
    """Labels of one rung are compared with each other, whatever --epochs become meanwhile."""
    here, found = Serial(), []
    info = load("digits", resolution_px=16).info
    for epochs in (3.0, 30.0):
        plan = Plan(data="digits", target="1.0", search_steps=20, promote=True, epochs=epochs)
        (tmp_path / "run").mkdir(exist_ok=True)
        with open_run(plan, tmp_path / "run", silent) as run:
            session = Session(run, plan, here, here)
            study = Study(run.journal, SMALL, sampler="random", seed=0)
            task = scorer(session, RunData(info), study, None)
        assert isinstance(task, TrainOnRungs)
        found.append(task.most_steps)
    assert found == [67, 67]  # 3 x 1437 images in batches of 64


def test_trials_of_all_targets_are_promoted_in_the_run_of_one(tmp_path: Path) -> None:
    """Each target's run has the journal of the whole search."""
    one = Objectives(SPACE, MacsDevice(), [Target(Soft(1.0), ceiling_ms=1.5)])
    journal = tmp_path / "log"
    search(
        Study(journal, SPACE, sampler="random", seed=0),
        evaluate,
        objectives=Objectives(SPACE, MacsDevice(), one.targets * 2),
        evaluations=6,
        executor=Serial(),
    )
    records = searched(journal, Serial(), 6, parallel=1, objectives=one)
    assert [record.rung for record in records[6:]] == [1, 1, 1, 1, 2, 2]


def test_an_eager_search_that_was_broken_off_rewards_by_what_is_known(tmp_path: Path) -> None:
    objectives = Objectives(SPACE, MacsDevice(), [Target(None, 1.0, 1.5)])
    told_of = 0

    def breaks(*news: object) -> None:
        nonlocal told_of
        told_of += 1
        if told_of == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched(
            tmp_path / "log", Simulated(3), parallel=None, objectives=objectives, progress=breaks
        )
    study = Study(tmp_path / "log", SPACE, sampler="random", seed=0, parallel=None, promote=True)
    waiting = study.pending()
    assert waiting
    known = study.current(objectives)[0].reward
    assert known != objectives.at([])[0].reward
    assert {study.objective(trial, objectives).reward for trial in waiting} == {known}


def test_promotion_through_processes(tmp_path: Path) -> None:
    executor = open_executor(2)
    try:
        records = searched(tmp_path / "journal.log", executor, 9)
    finally:
        executor.close()
    assert told(records) == told(searched(tmp_path / "serial.log", Serial(), 9))


def test_only_what_trains_can_be_promoted() -> None:
    with pytest.raises(UsageError, match="--promote trains longer, so it needs the proxy short-t"):
        check(Plan(target="1", promote=True, proxy="params"), trains=False)
    check(Plan(target="1", promote=True), trains=False)
