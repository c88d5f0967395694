"""A slower target may have the network of a faster one, made wider."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from bneck import records
from bneck.derivation.plan import Plan
from bneck.derivation.results import read_competitors
from bneck.derivation.session import Session, open_run
from bneck.derivation.stages.competitors import Contest
from bneck.derivation.stages.search import _select
from bneck.errors import UsageError
from bneck.executors.serial import Serial
from bneck.latency.measure import Measured
from bneck.progress import silent
from bneck.results.record import Record
from bneck.results.stage_record import SelectedNetwork
from bneck.search.label import Label
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.space import spaces
from bneck.space.architecture import Architecture
from bneck.space.edits import widened
from tests.closed_form import MacsDevice

SPACE = spaces.build("v3-small", resolution_px=32, classes=10)
TARGETS = (2.0, 3.0, 2.5)
"""In ms; the search's networks have these accuracies, one to two for each target."""
ACCURACIES = {2.0: (0.6, 0.5), 3.0: (0.55,), 2.5: (0.7,)}


class Stopwatch:
    """Measures what is predicted, but for one network that may take longer, and counts."""

    def __init__(self, slow: Architecture | None = None) -> None:
        self.slow, self.measured = slow, list[Architecture]()

    def measure(self, arch: Architecture) -> Measured:
        self.measured.append(arch)
        ms = MacsDevice().predict(arch).ms * (2 if arch == self.slow else 1)
        return Measured(ms, 0.0)


class Trainings:
    """Gives a further network this accuracy, and counts."""

    def __init__(self, accuracy: float) -> None:
        self.accuracy, self.trained = accuracy, list[tuple[Architecture, int]]()

    def __call__(self, arch: Architecture, rung: int = 0) -> float:
        self.trained.append((arch, rung))
        return self.accuracy


def evaluated() -> list[Record]:
    """Networks of the space, each a little slower than a target."""
    found, seeds = [], iter(range(100_000))
    for target_ms, accuracies in ACCURACIES.items():
        for accuracy in accuracies:
            while True:
                arch = SPACE.decode(SPACE.sample(next(seeds)))
                latency_ms = MacsDevice().predict(arch).ms
                if target_ms <= latency_ms <= 1.1 * target_ms:
                    break
            found.append(Record(len(found), arch, accuracy, latency_ms, 0.0, None, 0.0, rung=2))
    return found


def select(
    folder: Path,
    trainings: Trainings,
    *,
    promote: bool = True,
    evaluations: int | None = None,
    slow: Architecture | None = None,
    targets: tuple[float, ...] = TARGETS,
) -> tuple[tuple[SelectedNetwork, ...], Stopwatch, list[Record]]:
    """What is named for each target, what was measured, and the records of wider networks."""
    plan = Plan(data="digits", target="1", promote=promote, evaluations=evaluations)
    watch = Stopwatch(slow)
    wanted = [Target(Soft(ms, -1e-6), ms, 1.25 * ms, ms) for ms in targets]
    folder.mkdir(exist_ok=True)
    with open_run(plan, folder, silent) as run:
        contest = Contest(
            Session(run, plan, Serial(), Serial()),
            trainings,
            Objectives(SPACE, MacsDevice(), wanted),
            [],
            evaluated(),
        )
        named = _select(contest, watch, (), None)
        return named, watch, records.read_lines(run.widened, Record)


def test_a_wider_network_is_named_where_it_is_more_accurate(tmp_path: Path) -> None:
    """For 2.5 ms there is a better one; for 3 ms that one made wider is the best."""
    named, watch, wider = select(tmp_path / "run", Trainings(0.65))
    assert [(one.number, one.widened) for one in named] == [(0, False), (3, True), (3, False)]
    assert [one.rung for one in wider] == [2, 2]
    assert {one.arch for one in named} & {one.arch for one in wider} == {named[1].arch}
    assert 3.0 <= named[1].predicted.ms <= 3.75
    assert named[1].accuracy.value == 0.65
    assert [one.called("trial") for one in named] == ["trial 0", "trial 3, widened", "trial 3"]
    assert named[1].arch.stem == named[2].arch.stem
    assert len(set(watch.measured)) == len(watch.measured)  # none twice


def test_a_wider_network_that_is_no_better_is_not_named(tmp_path: Path) -> None:
    named, *_ = select(tmp_path / "run", Trainings(0.5))
    assert [(one.number, one.widened) for one in named] == [(0, False), (2, False), (3, False)]


def test_only_a_search_that_promotes_trains_wider_networks(tmp_path: Path) -> None:
    trainings = Trainings(0.9)
    named, *_ = select(tmp_path / "run", trainings, promote=False)
    assert [one.number for one in named] == [0, 2, 3]
    assert not trainings.trained


def test_a_target_that_the_search_has_no_network_for_gets_a_wider_one(tmp_path: Path) -> None:
    """As one that is added once the search is over."""
    named, *_ = select(tmp_path / "run", Trainings(0.4), targets=(*TARGETS, 4.5))
    assert [one.number for one in named[:3]] == [0, 2, 3]
    assert (named[3].number, named[3].widened, named[3].accuracy.value) == (3, True, 0.4)
    assert 4.5 <= named[3].predicted.ms <= 1.25 * 4.5
    with pytest.raises(UsageError, match=r"predicted from 4\.5 to 5\.62 ms; give more --evalu"):
        select(tmp_path / "other", Trainings(0.4), targets=(*TARGETS, 4.5), promote=False)


def test_what_is_trained_is_not_trained_again(tmp_path: Path) -> None:
    """Broken off in the second of two trainings, only that one is left."""
    trainings = Trainings(0.65)

    def breaks_second(arch: Architecture, rung: int = 0) -> float:
        if trainings.trained:
            raise KeyboardInterrupt
        return trainings(arch, rung)

    with pytest.raises(KeyboardInterrupt):
        select(tmp_path / "run", breaks_second)
    again = Trainings(0.65)
    named, *_ = select(tmp_path / "run", again)
    assert len(trainings.trained) == len(again.trained) == 1
    assert named == select(tmp_path / "whole", Trainings(0.65))[0]


def broken_off(folder: Path, **asked: object) -> Architecture:
    """The network whose training broke the naming off: the one that was made wider for 2.5 ms."""
    begun: list[Architecture] = []

    def breaks(arch: Architecture, rung: int = 0) -> float:
        if MacsDevice().predict(arch).ms >= 3:
            return 0.65
        begun.append(arch)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        select(folder, breaks, **asked)
    return begun[0]


def test_what_was_chosen_to_be_made_wider_stands_whatever_is_measured_after_a_kill(
    tmp_path: Path,
) -> None:
    """The fastest target's best network measures too long then, which it did not before."""
    whole, best = Trainings(0.65), evaluated()[0].arch
    select(tmp_path / "whole", whole)
    broken_off(tmp_path / "run")
    again = Trainings(0.65)
    named, *_ = select(tmp_path / "run", again, slow=best)
    assert again.trained == whole.trained[1:]
    assert [(one.number, one.widened) for one in named] == [(1, False), (3, True), (3, False)]
    other = Trainings(0.65)
    select(tmp_path / "other", other, slow=best)
    assert other.trained != whole.trained


def test_after_more_evaluations_it_is_chosen_again(tmp_path: Path) -> None:
    best = evaluated()[0].arch
    first = broken_off(tmp_path / "run", evaluations=4)
    assert broken_off(tmp_path / "run", evaluations=4, slow=best) == first
    again = Trainings(0.65)
    select(tmp_path / "run", again, evaluations=5, slow=best)
    assert (first, 2) not in again.trained


def test_they_are_numbered_after_all_trainings_of_the_search_in_its_report_too(
    tmp_path: Path,
) -> None:
    """The last training of the search failed, and theirs ended in another order than they began."""
    plan = Plan(data="digits", target="1", promote=True)
    trials = evaluated()
    failed = replace(trials[0], number=len(trials), accuracy=None, reward=None, error="nan", rung=3)
    trainings = [*trials, failed]
    wanted = Objectives(SPACE, MacsDevice(), [Target(Soft(2.0), 2.0)])
    (objective,) = wanted.at([])
    wider = [widened(trials[0].arch, multiplier) for multiplier in (1.5, 1.25)]
    (tmp_path / "run").mkdir()
    with open_run(plan, tmp_path / "run", silent) as run:
        session = Session(run, plan, Serial(), Serial())
        contest = Contest(session, Trainings(0.6), wanted, [], trainings)
        contest.evaluate({wider[1]: objective}, run.widened, "widened networks")
        found = contest.evaluate(dict.fromkeys(wider, objective), run.widened, "widened networks")
        assert [one.number for one in found] == [6, 5]
        read = read_competitors(run, trainings)["widened"]
    assert {one.number: one.arch for one in read} == {one.number: one.arch for one in found}


@pytest.mark.parametrize("mix_devices", [False, True])
def test_one_that_another_kind_of_device_trained_competes_only_if_asked(
    tmp_path: Path, mix_devices: bool
) -> None:
    """A cluster's node may have no GPU."""
    plan = Plan(data="digits", target="1", promote=True, mix_devices=mix_devices)
    trials = [replace(one, made_with={"device": "cuda"}) for one in evaluated()]
    wanted = Objectives(SPACE, MacsDevice(), [Target(Soft(2.0), 2.0)])
    wider = {widened(trials[0].arch, 1.5): wanted.at([])[0]}
    (tmp_path / "run").mkdir()

    def trained(arch: Architecture, rung: int) -> Label:
        return Label(0.6, {"device": "cpu"})

    with open_run(plan, tmp_path / "run", silent) as run:
        contest = Contest(Session(run, plan, Serial(), Serial()), trained, wanted, [], trials)
        refused = pytest.raises(UsageError, match=r"trained on cpu, .* labels are of cuda: use")
        with nullcontext() if mix_devices else refused:
            contest.evaluate(wider, run.widened, "widened networks")
        assert len(records.read_lines(run.widened, Record)) == mix_devices
