"""Chunks of runs in turns, and what repetitions of them say together."""

import time
from collections.abc import Callable
from math import sqrt
from random import Random
from statistics import fmean, median, stdev

import pytest

from bneck.errors import BneckError
from bneck.latency.timing import Effort, Timing, alternated, compare, pooled, standard_error


class Machine:
    """A clock, and runs that move it; ``pace`` may change as time goes on."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> int:
        return int(self.now)

    def run(
        self, ms: float, pace: Callable[[float], float] = lambda now: 1.0
    ) -> Callable[[], None]:
        def once() -> None:
            self.now += ms * 1e6 * pace(self.now)

        return once


def test_ratio_and_reference() -> None:
    machine = Machine()
    timing = compare(machine.run(6.0), machine.run(2.0), clock=machine.clock)
    assert timing.ratio == pytest.approx(3.0)
    assert timing.reference_ms == pytest.approx(2.0)
    assert timing.ms == pytest.approx(6.0)
    assert timing.quiet
    assert timing.pairs == 6


@pytest.mark.parametrize(("ms", "each"), [(0.001, 60), (1.0, 15), (2.0, 8), (100.0, 5)])
def test_a_chunk_is_about_15_ms_of_runs_behind_two_that_do_not_count(ms: float, each: int) -> None:
    """Of 5 to 60 runs, as many as five warm ones say; here of three pairs."""
    machine, runs = Machine(), []
    once = machine.run(ms)

    def run() -> None:
        runs.append(1)
        once()

    compare(run, machine.run(1.0), Effort(min_pairs=3, max_pairs=3), clock=machine.clock)
    assert len(runs) == (2 + 5) + 3 * (2 + each)


def test_the_first_two_runs_of_a_chunk_do_not_count() -> None:
    machine, turns = Machine(), iter(range(10**9))

    def cold(now: float) -> float:
        turn = next(turns)  # five runs that tell how many make a chunk, then chunks of five
        return 50.0 if turn % 7 < 2 else 1.0

    timing = compare(machine.run(10.0, cold), machine.run(5.0), clock=machine.clock)
    assert timing.ratio == pytest.approx(2.0)


def test_a_timing_is_of_the_medians_of_chunks() -> None:
    """Chunks of 6, 6 and 18 ms between references of 2, 2, 4 and 4: ratios of 3, 2 and 4.5."""
    own, references = iter([6e6, 6e6, 18e6]), iter([2e6, 2e6, 4e6, 4e6])
    found = alternated(lambda: next(own), lambda: next(references), Effort(0.0, 3, 3))
    assert found.ratio == pytest.approx(3.0)
    assert found.reference_ms == pytest.approx(3.0)
    assert found.reference_spread == pytest.approx(
        1.363 * 1.4826 / 3
    )  # each is 1 ms off the median
    assert found.pairs == 3


@pytest.mark.parametrize(("had", "share"), [(0.5, 0.5), (2.0, 1.0)])
def test_the_share_of_the_core_is_of_the_time_that_all_runs_took(
    monkeypatch: pytest.MonkeyPatch, had: float, share: float
) -> None:
    """Two threads had two cores: no more than all of the time is said."""
    machine = Machine()
    monkeypatch.setattr(time, "perf_counter_ns", machine.clock)
    timing = compare(
        machine.run(6.0),
        machine.run(2.0),
        clock=machine.clock,
        on_cpu=lambda: int(had * machine.now),
    )
    assert timing.core_share == pytest.approx(share)


def test_a_network_against_itself_reads_one_on_a_drifting_machine() -> None:
    machine = Machine()

    def drift(now: float) -> float:
        return 1.0 + now / 1e9  # twice as slow after a second

    timing = compare(machine.run(2.0, drift), machine.run(2.0, drift), clock=machine.clock)
    assert timing.ratio == pytest.approx(1.0, abs=0.01)
    assert timing.reference_ms > 2.1


def test_one_disturbed_chunk_does_not_move_the_ratio() -> None:
    machine = Machine()

    def hiccup(now: float) -> float:
        return 5.0 if 150e6 < now < 170e6 else 1.0

    timing = compare(machine.run(3.0, hiccup), machine.run(2.0, hiccup), clock=machine.clock)
    assert timing.ratio == pytest.approx(1.5, rel=0.01)


def test_a_restless_machine_is_said_to_be_one() -> None:
    machine = Machine()
    paces = iter(range(10**9))

    def unrest(now: float) -> float:
        return 1.0 + (next(paces) * 7919 % 13) / 13

    timing = compare(
        machine.run(30.0, unrest),
        machine.run(20.0, unrest),
        Effort(wanted=0.001, max_pairs=20),
        clock=machine.clock,
    )
    assert not timing.quiet
    assert timing.pairs == 20
    assert timing.spread > 0.001


def test_a_timing_of_few_pairs_has_a_spread_that_records_can_hold() -> None:
    machine = Machine()
    paces = iter(range(10**9))
    timing = compare(
        machine.run(30.0, lambda now: 1.0 + next(paces) % 3 / 10),
        machine.run(20.0),
        Effort(wanted=1.0, max_pairs=2),
        clock=machine.clock,
    )
    assert timing.pairs == 2
    assert 0 <= timing.spread < 1
    assert not timing.quiet  # two pairs are fewer than were asked for


def test_standard_error_of_a_median() -> None:
    # MAD of 0.98, 1.00, 1.02 is 0.02: 1.2533 * 1.495 * 1.4826 * 0.02 / sqrt(3)
    assert standard_error([0.98, 1.0, 1.02]) == pytest.approx(0.032076, rel=1e-3)


@pytest.mark.parametrize("count", [*range(2, 13), 20, 60])
def test_a_standard_error_of_few_values_is_no_smaller(count: int) -> None:
    """On average over normal values, whose standard deviation is 1 %."""
    draw = Random(count)
    samples = [[draw.gauss(1.0, 0.01) for _ in range(count)] for _ in range(4000)]
    found = fmean(map(standard_error, samples))
    assert found == pytest.approx(1.2533 * 0.01 / sqrt(count), rel=0.05)


def test_a_clock_that_stands_still_is_an_error() -> None:
    machine = Machine()
    with pytest.raises(BneckError, match="clock did not move"):
        compare(machine.run(0.0), machine.run(0.0), clock=machine.clock)


def repetition(ratio: float, spread: float = 0.001) -> Timing:
    """One quiet repetition of a measurement."""
    return Timing(ratio, spread, reference_ms=2.0, reference_spread=0.02, pairs=6, quiet=True)


def test_repetitions_that_differ_are_less_sure_than_each_says() -> None:
    timing = pooled([repetition(0.98), repetition(1.0), repetition(1.02)], wanted=0.005)
    assert timing.ratio == 1.0
    assert timing.spread == pytest.approx(0.032076, rel=1e-3)  # as above
    assert not timing.quiet
    assert timing.pairs == 18
    alike = pooled([repetition(1.0, spread=0.009)] * 9, wanted=0.005)
    assert alike.spread == pytest.approx(1.2533 * 0.003)  # the standard error of a median
    assert alike.quiet


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_repetitions_are_as_sure_as_their_mean(count: int) -> None:
    """Their median is their mean."""
    timing = pooled([repetition(1.0, spread=0.009)] * count, wanted=0.01)
    assert timing.spread == pytest.approx(0.009 / sqrt(count))


@pytest.mark.parametrize("count", [3, 5, 9])
def test_repetitions_that_agree_by_chance_are_no_surer_than_their_median(count: int) -> None:
    """Medians of normal values scatter as much as is stated, give or take what few values do."""
    draw = Random(count)
    medians = [median(draw.gauss(1.0, 0.01) for _ in range(count)) for _ in range(4000)]
    alike = pooled([repetition(1.0, spread=0.01)] * count, wanted=0.02)
    assert stdev(medians) <= alike.spread <= 1.1 * stdev(medians)


def test_repetitions_count_by_their_medians_and_by_all_of_their_time() -> None:
    found = pooled(
        [
            Timing(1.0, 0.001, reference_ms, unrest, 6, True, share)
            for reference_ms, unrest, share in ((2.0, 0.5, 1.0), (8.0, 0.02, 0.4), (3.0, 0.03, 1.0))
        ],
        wanted=0.005,
    )
    assert found.reference_ms == 3.0
    assert found.reference_spread == 0.03
    assert found.core_share == pytest.approx(0.8)
