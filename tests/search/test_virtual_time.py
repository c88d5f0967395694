"""Virtual time: what a proposal knows, and how busy it keeps workers whose lengths are guessed."""

from dataclasses import replace
from pathlib import Path

import pytest

from bneck.errors import UsageError
from bneck.executors import NotYet
from bneck.executors.worker import attempt
from bneck.results.record import Record
from bneck.results.run import Run
from bneck.search import trial_order
from bneck.search.objectives import Objectives, Target
from bneck.search.promotion import Candidate
from bneck.search.reward import Soft
from bneck.search.samplers.history import Trial
from bneck.search.search import search
from bneck.search.study import Study
from bneck.search.trial_order import TrialOrder
from bneck.search.virtual_time import VirtualTime, training_length
from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.space.cost import cost
from tests.closed_form import MacsDevice, accuracy
from tests.search.simulated import Simulated, lognormal


def test_a_trial_knows_those_that_ended_by_its_start() -> None:
    """Two workers: 0 takes 5, and beside it run 1 (2), 2 (2) and 3 (3), which starts at 4."""
    time, known = VirtualTime(2), []
    for trial, length in enumerate([5.0, 2.0, 2.0, 3.0, 1.0]):
        known += time.to_next_start()
        assert known == [[], [], [1], [1, 2], [1, 2, 0]][trial]
        time.start(trial, length)
    assert time.rest() == [4, 3]


def test_trials_that_end_at_once_are_known_together() -> None:
    time = VirtualTime(3)
    for trial in range(3):
        assert time.to_next_start() == []
        time.start(trial, 1.0)
    assert time.to_next_start() == [0, 1, 2]
    assert time.to_next_start() == []


def test_trainings_of_higher_rungs_take_three_and_nine_times_as_long(space: Space) -> None:
    """Of one network: in the time of one on the second rung, three are done, one by one."""
    values = space.sample(0)
    longest, longer, *short = (
        Trial(number, values, space.decode(values), rung=rung)
        for number, rung in enumerate((2, 1, 0, 0, 0, 0, 0, 0))
    )
    order, ended = TrialOrder(3, 0), []
    order.start(longest)
    order.start(longer)
    for one in short:
        order.start(one)
        one.record = Record(one.number, one.arch, 0.5, 1.0, 0.5, None, 1.0)
        longer.record = replace(one.record, rung=1)
        ended += order.ended()
    assert ended[:4] == [*short[:2], longer, short[2]]
    assert order.under_way()[-1] is longest


def test_a_length_is_multiply_adds_and_layers() -> None:
    """V3-Small: 11 blocks of 3 convolutions (the first of 2), 9 SE of 3 layers, 5 around them."""
    arch = presets.build("mobilenet_v3_small")
    layers = 2 + 10 * 3 + 9 * (2 + 1) + (1 + 1 + 1 + 2)
    assert training_length(arch, 7) == cost(arch).macs + 7 * layers


def run(folder: Path, space: Space, executor: Simulated, parallel: int | None, count: int) -> list:
    study = Study(folder / "journal.log", space, sampler="random", seed=0, parallel=parallel)
    objectives = Objectives(space, MacsDevice(), [Target(Soft(1.2), 1.2, 1.5, 1.2)])
    return search(study, accuracy, objectives=objectives, evaluations=count, executor=executor)


@pytest.mark.parametrize(("parallel", "low", "high"), [(16, 0.5, 0.8), (32, 0.95, 1.0)])
def test_twice_the_workers_keeps_them_busy(
    tmp_path: Path,
    space: Space,
    monkeypatch: pytest.MonkeyPatch,
    parallel: int,
    low: float,
    high: float,
) -> None:
    """Lognormal lengths of sigma 1 that are guessed to 30 %, 16 workers."""

    def guessed(arch: Architecture, layer_macs: int) -> float:
        return lognormal(arch) * lognormal(arch, sigma=0.3, seed=1)

    monkeypatch.setattr(trial_order, "training_length", guessed)
    executor = Simulated(16)
    run(tmp_path, space, executor, parallel, 320)
    assert low <= executor.busy_share() <= high


def test_an_eager_search_keeps_all_busy_and_resumes(tmp_path: Path, space: Space) -> None:
    executor = Simulated(16)
    first = run(tmp_path, space, executor, None, 100)
    assert executor.busy_share() > 0.999
    records = run(tmp_path, space, Simulated(5), None, 120)
    assert records[:100] == first
    assert len({record.arch for record in records}) == 120


class Asking:
    """Takes all items that there are before each evaluation, and notes how many more there are."""

    workers = 4

    def __init__(self) -> None:
        self.more: list[int] = []

    def map_unordered(self, task, items):
        source, waiting = iter(items), []
        while True:
            while isinstance(item := next(source, None), Candidate):
                waiting.append(item)
            if not waiting:
                return
            if isinstance(item, NotYet):
                self.more.append(item.more)
            first = waiting.pop(0)
            yield first, attempt(task, first)


def test_an_eager_search_says_how_many_workers_more_it_could_use(
    tmp_path: Path, space: Space
) -> None:
    """All that is left to evaluate; in virtual time, what may run is proposed and waits itself."""
    eager, ordered = Asking(), Asking()
    run(tmp_path / "eager", space, eager, None, 10)
    assert eager.more == [6, 5, 4, 3, 2, 1, 0]
    run(tmp_path / "ordered", space, ordered, 2, 10)
    assert {*ordered.more} == {0}


def test_a_plan_keeps_what_its_run_began_with(tmp_path: Path) -> None:
    with Run.open(tmp_path / "run", {"data": "digits"}) as begun:
        assert begun.settle("parallel", 8) == 8
    with Run.open(tmp_path / "run", {"data": "digits"}) as resumed:
        assert resumed.settle("parallel", 128) == 8
    with pytest.raises(UsageError, match="--parallel was 8, now 16"):
        Run.open(tmp_path / "run", {"data": "digits", "parallel": 16})
    old = tmp_path / "old"
    old.mkdir()
    (old / "plan.toml").write_text('data = "digits"\nbatch = 4\n')
    with Run.open(old, {"data": "digits"}) as resumed:
        assert resumed.settle("parallel", 128) == 4
