"""The search: under its ceiling, never twice, and the same after an interruption."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bneck.errors import BneckError, ProxyFailed, UsageError
from bneck.executors.serial import Serial
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import Study
from bneck.search.trial_attributes import read_records
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.space.cost import cost

CEILING_MS = 1.6


def study(folder: Path, space: Space, sampler: str = "tpe", seed: int = 0) -> Study:
    folder.mkdir(exist_ok=True)
    return Study(folder / "journal.log", space, sampler=sampler, seed=seed, parallel=3)


def run(
    study: Study,
    evaluate: Callable,
    model: object,
    evaluations: int = 12,
    *,
    executor: object = None,
    **changes: float,
) -> list:
    target = Target(Soft(1.0, -0.07), **{"ceiling_ms": CEILING_MS, **changes})
    return search(
        study,
        evaluate,
        objectives=Objectives(study.space, model, [target]),
        evaluations=evaluations,
        executor=executor or Serial(),
    )


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_every_network_is_new_and_under_the_ceiling(
    tmp_path: Path, space: Space, model: object, by_macs: Callable, sampler: str
) -> None:
    asked: list[str] = []

    def evaluate(arch: Architecture) -> float:
        asked.append(codec.key(arch))
        return by_macs(arch)

    records = run(study(tmp_path, space, sampler), evaluate, model)
    assert len(records) == len(asked) == len(set(asked)) == 12
    for record in records:
        assert record.latency_ms == cost(record.arch).macs / 1e6 <= CEILING_MS
        assert record.accuracy == by_macs(record.arch)
        assert record.reward == Soft(1.0, -0.07)(record.accuracy, record.latency_ms)


def test_records_come_back_from_the_journal(
    tmp_path: Path, space: Space, model: object, by_macs: Callable
) -> None:
    records = run(study(tmp_path, space), by_macs, model)
    assert read_records(tmp_path / "journal.log", space) == records
    assert run(study(tmp_path, space), lambda arch: pytest.fail("paid twice"), model) == records


class Stopped(BaseException):
    """What Ctrl-C raises, in the middle of an evaluation."""


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_an_interrupted_search_resumes_as_if_it_had_not_been(
    tmp_path: Path, space: Space, model: object, by_macs: Callable, sampler: str
) -> None:
    whole = run(study(tmp_path / "whole", space, sampler), by_macs, model)
    asked = 0

    def interrupted(arch: Architecture) -> float:
        nonlocal asked
        asked += 1
        if asked in (2, 6, 7):
            raise Stopped
        return by_macs(arch)

    records: list = []
    for _ in range(4):
        try:
            records = run(study(tmp_path / "cut", space, sampler), interrupted, model)
        except Stopped:
            with (tmp_path / "cut" / "journal.log").open("ab") as journal:
                journal.write(b'{"op_code": 5, "trial')  # what a kill leaves behind
    assert asked == 12 + 3
    assert [(r.arch, r.reward) for r in records] == [(r.arch, r.reward) for r in whole]


def test_failures_are_recorded_and_passed_over(
    tmp_path: Path, space: Space, model: object, by_macs: Callable
) -> None:
    count = 0

    def evaluate(arch: Architecture) -> float:
        nonlocal count
        count += 1
        if count % 3 == 0:
            raise ProxyFailed("the loss is nan at step 7")
        return by_macs(arch)

    records = run(study(tmp_path, space), evaluate, model)
    failed = [record for record in records if record.error]
    assert len(failed) == 4
    assert {record.error for record in failed} == {"ProxyFailed: the loss is nan at step 7"}


def test_a_search_that_only_fails_ends(tmp_path: Path, space: Space, model: object) -> None:
    def evaluate(arch: Architecture) -> float:
        raise ProxyFailed("no such luck")

    with pytest.raises(BneckError, match=r"the first . networks failed: ProxyFailed: no such luck"):
        run(study(tmp_path, space), evaluate, model)


def test_an_impossible_ceiling_names_the_fastest(
    tmp_path: Path, space: Space, model: object, by_macs: Callable
) -> None:
    values, fastest_ms = space.minimise(lambda arch: model.predict(arch).ms)
    assert cost(space.decode(values)).macs / 1e6 == fastest_ms
    assert fastest_ms < min(
        cost(space.decode(space.sample(seed))).macs / 1e6 for seed in range(200)
    )
    with pytest.raises(UsageError, match=f"the fastest takes {fastest_ms:.3g} ms"):
        run(study(tmp_path, space), by_macs, model, ceiling_ms=fastest_ms * 0.99)
    run(study(tmp_path / "possible", space), by_macs, model, 1, ceiling_ms=CEILING_MS)


def test_a_floor_keeps_networks_from_leaving_latency_unused(
    tmp_path: Path, space: Space, model: object, by_macs: Callable
) -> None:
    records = run(study(tmp_path, space, "random"), by_macs, model, floor_ms=1.5)
    assert all(1.5 <= record.latency_ms <= CEILING_MS for record in records)
    slow = {"floor_ms": 90.0, "ceiling_ms": 100.0}  # above all networks of the space
    with pytest.raises(UsageError, match=r"as slow as 90 ms; the slowest takes [\d.]+ ms"):
        run(study(tmp_path / "slow", space, "random"), by_macs, model, 2, **slow)
