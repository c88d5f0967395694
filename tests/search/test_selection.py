"""A network is measured before it is named."""

from dataclasses import replace

import pytest

from bneck.errors import BneckError
from bneck.latency.measure import Measured
from bneck.results.record import Record
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.search.selection import select_network
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.space.cost import cost


@pytest.fixture
def records(space: Space) -> list[Record]:
    """Of equal accuracy: the fastest has the largest reward."""
    archs = sorted(
        (space.decode(space.sample(seed)) for seed in range(6)), key=lambda a: cost(a).macs
    )
    return [
        Record(number, arch, 0.5, cost(arch).macs / 1e6, 0.5, None, 1.0)
        for number, arch in enumerate(archs)
    ]


class Stopwatch:
    """Measures a network at so many times its multiply-adds, and counts."""

    def __init__(self, factors: dict[Architecture, float]) -> None:
        self.factors = factors
        self.asked: list[Architecture] = []

    def __call__(self, arch: Architecture) -> Measured:
        self.asked.append(arch)
        ms = self.factors.get(arch, 1.0) * cost(arch).macs / 1e6
        return Measured(ms, 0.01)


def test_the_best_is_measured_and_named(space: Space, model: object, records: list) -> None:
    watch = Stopwatch({})
    named = select_network(records, Objectives(space, model, [Target(Soft(1.0))]), 0, [], watch)
    assert (named.number, watch.asked) == (0, [records[0].arch])
    assert named.measured.ms == named.predicted.ms == records[0].latency_ms


def test_what_measures_slower_loses_its_place(space: Space, model: object, records: list) -> None:
    """Not above the ceiling, but slower than the next: the next is measured, and named."""
    slow = 1.01 * records[1].latency_ms / records[0].latency_ms
    watch = Stopwatch({records[0].arch: slow})
    named = select_network(records, Objectives(space, model, [Target(Soft(1.0))]), 0, [], watch)
    assert (named.number, len(watch.asked)) == (1, 2)


def test_the_reward_is_that_of_what_was_measured(
    space: Space, model: object, records: list
) -> None:
    """Slower than predicted, but not than the next."""
    watch = Stopwatch({records[0].arch: 0.5 + 0.5 * records[1].latency_ms / records[0].latency_ms})
    named = select_network(records, Objectives(space, model, [Target(Soft(1.0))]), 0, [], watch)
    assert named.number == 0
    assert named.measured.ms == pytest.approx((records[0].latency_ms + records[1].latency_ms) / 2)
    assert named.reward == pytest.approx(0.5 * named.measured.ms**-0.07)
    assert named.accuracy.value == 0.5


def test_what_is_predicted_alone_is_not_said_to_be_measured(
    space: Space, model: object, records: list
) -> None:
    def predicts(arch: Architecture) -> Measured:
        return Measured(1.0, 0.01, predicted=True)

    objectives = Objectives(space, model, [Target(Soft(1.0))])
    assert select_network(records, objectives, 0, [], predicts).measured is None


def test_those_trained_longest_come_first(space: Space, model: object, records: list) -> None:
    """Labels of longer trainings are not compared with those of shorter ones."""
    longer = [replace(one, rung=one.number // 2, accuracy=0.4) for one in records[1:5]]
    objectives, watch = Objectives(space, model, [Target(Soft(1.0))]), Stopwatch({})
    named = select_network([records[0], *longer, records[5]], objectives, 0, [], watch)
    assert (named.number, watch.asked) == (4, [records[4].arch])


def test_no_more_than_ten_networks_are_measured(space: Space, model: object) -> None:
    """Where each measures worse than all others are predicted, the best of ten is named."""
    archs = {space.decode(space.sample(seed)): 0.3 + seed / 100 for seed in range(14)}
    records = [
        Record(number, arch, accuracy, cost(arch).macs / 1e6, 0.5, None, 1.0)
        for number, (arch, accuracy) in enumerate(archs.items())
    ]
    watch = Stopwatch(dict.fromkeys(archs, 1e6))
    named = select_network(records, Objectives(space, model, [Target(Soft(1.0))]), 0, [], watch)
    assert len(watch.asked) == len({*watch.asked}) == 10

    def reward(arch: Architecture) -> float:
        return archs[arch] * cost(arch).macs ** -0.07

    assert named.arch == max(watch.asked, key=reward)


def test_what_measures_above_the_ceiling_is_out(space: Space, model: object, records: list) -> None:
    ceiling_ms = 1.001 * records[2].latency_ms
    objectives = Objectives(space, model, [Target(Soft(1.0), 1.0, ceiling_ms)])
    watch = Stopwatch({record.arch: 9.0 for record in records[:2]})
    assert select_network(records, objectives, 0, [], watch).number == 2
    all_slow = Stopwatch({record.arch: 9.0 for record in records})
    with pytest.raises(BneckError, match=r"the 3 best networks measure .* above the ceiling"):
        select_network(records, objectives, 0, [], all_slow)
    with pytest.raises(BneckError, match=r"the best network measures 14\.4 ms or more, above"):
        select_network(records[:1], objectives, 0, [], all_slow)


def test_without_an_accuracy_there_is_none(space: Space, model: object) -> None:
    objectives = Objectives(space, model, [Target(Soft(1.0))])
    arch = space.decode(space.sample(0))
    failed = [Record(n, arch, None, 1.0, None, f"diverged at {n}", 1.0) for n in range(3)]
    with pytest.raises(BneckError, match="none of the 3 networks could be scored: diverged at 0"):
        select_network(failed, objectives, 0, [], Stopwatch({}))
    with pytest.raises(BneckError, match=r"^no network could be scored: diverged at 0"):
        select_network(failed[:1], objectives, 0, [], Stopwatch({}))


def test_a_target_whose_band_was_never_searched_asks_for_more(
    space: Space, model: object, records: list
) -> None:
    objectives = Objectives(space, model, [Target(Soft(1.0), 1e4, 2e4, 1e4)])
    said = "none of the 6 networks .* is predicted from 1e[+]04 to 2e[+]04 ms; give more --evalua"
    with pytest.raises(BneckError, match=said):
        select_network(records, objectives, 0, [], Stopwatch({}))


def test_a_band_in_which_there_is_no_network_asks_for_a_wider_one(
    space: Space, model: object
) -> None:
    """As where --seed-factor is 1: more evaluations would find none either."""
    objectives = Objectives(space, model, [Target(Soft(1.0), 2.0, 2.0, 2.0)], confidence=0.9)
    said = "predicted from 2 to 2 ms with 90 % confidence; give a larger --seed-factor"
    with pytest.raises(BneckError, match=said):
        select_network([], objectives, 0, [], Stopwatch({}))
