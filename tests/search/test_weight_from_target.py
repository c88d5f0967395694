"""w derived from a target, against closed formulas."""

from collections.abc import Callable
from math import exp, log
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from bneck.executors.serial import Serial
from bneck.latency.predictor import Predictor
from bneck.quantities import Latency
from bneck.results.pareto import front
from bneck.search.journal import STUDY
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import PAPERS, Soft
from bneck.search.samplers.history import LabelledNetwork
from bneck.search.search import search
from bneck.search.study import Study
from bneck.search.trial_attributes import read_records
from bneck.search.weight_from_target import hull, weight_from_target
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.space.cost import cost

TARGETS_MS = (1.2, 1.6, 2.2)


EVALUATIONS = 15


def run(
    folder: Path,
    space: Space,
    model: object,
    by_macs: Callable,
    targets: list[Target],
    sampler: str = "surrogate",
) -> tuple:
    folder.mkdir(exist_ok=True)
    study = Study(folder / "journal.log", space, sampler=sampler, seed=1, parallel=3)
    both = Objectives(space, model, targets)
    records = search(study, by_macs, objectives=both, evaluations=EVALUATIONS, executor=Serial())
    return records, study, both


@pytest.mark.parametrize("target_ms", TARGETS_MS)
def test_a_search_ends_near_its_target_by_w_alone(
    tmp_path: Path, space: Space, model: object, by_macs: Callable, target_ms: float
) -> None:
    """No ceiling, no floor. ACC = m / (m + 1) of m ms: d ln ACC / d ln m = 1 / (1 + m)."""
    records, study, objectives = run(tmp_path, space, model, by_macs, [Target(None, target_ms)])
    (derived,) = objectives.weights(study.labels())
    assert -derived.weight == pytest.approx(1 / (1 + target_ms), rel=0.1)
    assert derived.accuracy == pytest.approx(target_ms / (target_ms + 1), rel=0.02)
    (objective,) = objectives.at(study.labels())
    named = max(records, key=lambda record: objective.reward(record.accuracy, record.latency_ms))
    assert named.latency_ms == pytest.approx(target_ms, rel=0.15)


def test_with_one_w_every_target_gives_the_same_network(
    tmp_path: Path, space: Space, model: object, by_macs: Callable
) -> None:
    """TAR is a constant factor: the same trials in the same order, so the same best."""
    found = {}
    for target_ms in TARGETS_MS:
        target = Target(Soft(target_ms, PAPERS["MobileNetV3-Small"]), target_ms)
        folder = tmp_path / str(target_ms)
        records, _, _ = run(folder, space, model, by_macs, [target], "evolution")
        best = max(records, key=lambda record: record.reward)
        found[target_ms] = [record.arch for record in records], best.arch
    first, *others = found.values()
    assert all(other == first for other in others)


def test_several_targets_share_one_search(
    tmp_path: Path, space: Space, model: object, by_macs: Callable
) -> None:
    wanted = [Target(None, ms, ceiling_ms=1.25 * ms, floor_ms=ms) for ms in TARGETS_MS]
    records, study, objectives = run(tmp_path, space, model, by_macs, wanted)
    for target in wanted:
        within = [r for r in records if target.floor_ms <= r.latency_ms <= target.ceiling_ms]
        assert len(within) >= EVALUATIONS // 3
    weights = [derived.weight for derived in objectives.weights(study.labels())]
    assert weights == sorted(weights)
    again, _, _ = run(tmp_path, space, model, by_macs, wanted)
    assert again == records


@pytest.mark.parametrize("sampler", ["nsga2", "surrogate"])
def test_accuracy_and_latency_as_two_objectives(
    tmp_path: Path, space: Space, model: object, by_macs: Callable, sampler: str
) -> None:
    path = tmp_path / "journal.log"
    study = Study(path, space, sampler=sampler, seed=1, parallel=3, front=True)
    objectives = Objectives(space, model, [Target(None, ms, ceiling_ms=2.2) for ms in TARGETS_MS])
    records = search(study, by_macs, objectives=objectives, evaluations=12, executor=Serial())
    assert [record.accuracy for record in records] == [by_macs(record.arch) for record in records]
    assert max(record.latency_ms for record in records) <= 2.2
    storage = JournalStorage(JournalFileBackend(str(path)))
    theirs = optuna.load_study(study_name=STUDY, storage=storage)
    assert [d.name for d in theirs.directions] == ["MAXIMIZE", "MINIMIZE"]
    told = {tuple(trial.values) for trial in theirs.best_trials}
    assert told == {(record.accuracy, record.latency_ms) for record in front(records)}
    assert {record.reward for record in records} == {None}  # by two objectives
    assert read_records(path, space) == records


@pytest.mark.parametrize(
    ("accuracy", "weight"), [(lambda ms: 0.7, -0.005), (lambda ms: 0.02 * ms**4, -2.0)]
)
def test_w_is_never_steeper_than_2_nor_quite_flat(
    space: Space, model: Predictor, accuracy: Callable[[float], float], weight: float
) -> None:
    """Of networks that are equally accurate, the faster one is preferred nevertheless."""

    def latency_ms(arch: Architecture) -> float:
        return model.predict(arch).ms

    values = [space.sample(seed) for seed in range(8)]
    labels = []
    for one in values:
        ms = latency_ms(arch := space.decode(one))
        labels.append(LabelledNetwork(one, arch, accuracy(ms), ms))
    assert weight_from_target(space, latency_ms, 1.6, labels, seed=0).weight == weight


def test_the_hull_is_concave_and_rises() -> None:
    points = [(0.0, 0.0), (1.0, 2.0), (2.0, 2.5), (3.0, 4.0), (1.0, 1.0), (4.0, 3.0)]
    assert hull(points) == [(0.0, 0.0), (1.0, 2.0), (3.0, 4.0)]


class Uncertain:
    """A million multiply-adds a millisecond, give or take a twentieth."""

    def predict(self, arch: Architecture) -> Latency:
        ms = cost(arch).macs / 1e6
        return Latency(ms, 0.05 * ms)


def test_the_ceiling_holds_with_the_confidence_asked_for(
    tmp_path: Path, space: Space, by_macs: Callable
) -> None:
    """At 90 % a normal error of 5 % leaves 1.2816 * 5 % of room."""
    study = Study(tmp_path / "journal.log", space, sampler="local-search", seed=1)
    objectives = Objectives(
        space, Uncertain(), [Target(Soft(1.6, -1e-9), 1.6, 1.6)], confidence=0.9
    )
    records = search(study, by_macs, objectives=objectives, evaluations=20, executor=Serial())
    slowest = max(record.latency_ms for record in records)
    assert 0.95 * 1.6 / (1 + 0.05 * 1.2816) < slowest <= 1.6 / (1 + 0.05 * 1.2816)


def test_front_flat_beyond_its_end() -> None:
    assert hull([(log(2.0), log(0.5)), (log(3.0), log(0.5))]) == [(log(2.0), log(0.5))]
    assert exp(hull([(0.0, 0.0)])[0][1]) == 1.0
