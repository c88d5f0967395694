"""The rules beyond the paper's, each in closed form, and the loop that ends by measuring."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bneck.errors import BneckError, OutOfReach, UsageError
from bneck.netadapt import rules
from bneck.netadapt.to_measured import shrink_to_measured
from bneck.quantities import Latency
from bneck.results.record import Proposal, Step
from bneck.space import presets

ARCH = presets.build("mobilenet_v3_small", width=0.5, resolution_px=16, classes=10)


def proposal(move: str, latency_ms: float) -> Proposal:
    return Proposal(ARCH, move, latency_ms, 1.0 - latency_ms)


def test_halving_ends_at_a_32nd() -> None:
    asked: list[float] = []

    def propose(needed_ms: float) -> tuple[Proposal, ...]:
        asked.append(needed_ms)
        return (proposal("a", 0.9),) if needed_ms <= 0.25 else ()

    assert rules.halve_the_saving(propose, 1.0) == (0.25, (proposal("a", 0.9),))
    assert asked == [1.0, 0.5, 0.25]
    asked.clear()
    assert rules.halve_the_saving(propose, 64.0) == (2.0, ())
    assert asked == [64.0, 32.0, 16.0, 8.0, 4.0, 2.0]


def test_what_overshoots_the_target_is_tried_last() -> None:
    near, far = proposal("near", 0.875), proposal("far", 0.87)
    assert rules.near_the_target((far, near), 0.9) == (near,)  # 0.97 * 0.9 = 0.873
    assert rules.near_the_target((far,), 0.9) == (far,)
    others = rules.other_savings((far, near), (near,), lambda _: (near, proposal("b", 0.9)), 0.1, 1)
    assert [one.move for one in others] == ["far", "b"]
    fewer = rules.other_savings((far, near), (near,), lambda _: (proposal("b", 0.9),), 0.06, 1)
    assert [one.move for one in fewer] == ["far"]  # 0.03 is less than a 32nd


def test_what_is_sure_counts_an_error_of_1_percent_at_most() -> None:
    assert rules.sure_ms(Latency(2.0, 0.001), 0.005) == pytest.approx(2.01)
    assert rules.sure_ms(Latency(2.0, 0.001), 0.5) == pytest.approx(2.02)
    assert rules.sure_ms(Latency(2.0, 0.1), 0.0) == pytest.approx(2.1)


def test_the_goal_is_tightened_from_what_the_network_is_predicted_to_take() -> None:
    """A network predicted at 0.9 that measures 1.08 is 1.2 times as slow as predicted."""
    assert rules.tighten_the_goal(1.0, 0.9, 1.08, 1.0) == pytest.approx(1 / 1.2)
    assert rules.tighten_the_goal(0.9, 0.9, 1.08, 1.0) == pytest.approx(1 / 1.2)


def test_free_widths_are_kept_only_where_measuring_again_stays_within_the_target() -> None:
    measured, wider = Latency(0.985, 0.0), Latency(0.993, 0.0)
    assert rules.widen_free_widths(wider, measured, 1.0, 0.005)  # 0.998
    assert not rules.widen_free_widths(wider, measured, 1.0, 0.01)  # 1.003
    assert not rules.widen_free_widths(Latency(0.996, 0.0), measured, 2.0, 0.0)  # 1.1 % more


@dataclass
class Model:
    """Each step reaches exactly the goal it is given; widths can grow once by ``free_ms``."""

    free_ms: float | None = None
    steps: list[Step] = field(default_factory=lambda: [step(0, 2.0)])

    def done(self) -> tuple[Step, ...]:
        return tuple(self.steps)

    def shrink(self, target_ms: float, *_: object) -> tuple[Step, ...]:
        if self.steps[-1].latency_ms > target_ms:
            self.steps.append(step(len(self.steps), target_ms))
        return tuple(self.steps)

    def widened(self, before: Step) -> Proposal | None:
        if self.free_ms is None:
            return None
        return Proposal(ARCH, "free channels", before.latency_ms, 0.0)

    def widen(self, wider: Proposal, *_: object) -> Step:
        self.steps.append(step(len(self.steps), wider.latency_ms))
        return self.steps[-1]


def step(number: int, latency_ms: float) -> Step:
    return Step(number, ARCH, "", latency_ms, None, (), 0.0)


def measured(model: Model, error: float) -> Latency:
    return Latency(model.steps[-1].latency_ms * error, 0.0)


def test_a_model_that_errs_by_8_percent_is_corrected_in_one_more_round(tmp_path: Path) -> None:
    model = Model()
    found, latency = shrink_to_measured(
        model, 1.0, lambda _: measured(model, 1.08), goals=tmp_path / "goals.json"
    )
    assert [one.latency_ms for one in model.steps] == pytest.approx([2.0, 1.0, 1 / 1.08])
    assert found == model.steps[-1]
    assert latency.ms == pytest.approx(1.0)


def test_a_seed_network_that_measures_under_the_target_is_the_result(tmp_path: Path) -> None:
    model = Model(free_ms=0.0)
    found, latency = shrink_to_measured(
        model, 1.9, lambda _: measured(model, 0.9), goals=tmp_path / "goals.json"
    )
    assert (found.number, latency.ms) == (0, pytest.approx(1.8))


@pytest.mark.parametrize(("found", "steps"), [(False, 1), (True, 2)])
def test_a_found_seed_network_must_stay_under_the_target_when_measured_again(
    found: bool, steps: int, tmp_path: Path
) -> None:
    model = Model()
    readings = iter((0.995, 0.98))
    shrink_to_measured(
        model,
        1.0,
        lambda _: Latency(next(readings), 0.0),
        repeat=0.01,
        given=not found,
        goals=tmp_path / "goals.json",
    )
    assert len(model.steps) == steps


@pytest.mark.parametrize(("grows", "steps"), [(1.005, 3), (1.05, 2)])
def test_widths_grow_only_if_they_measure_as_free(grows: float, steps: int, tmp_path: Path) -> None:
    model = Model(free_ms=0.0)
    readings = iter((2.0, 0.99, 0.99 * grows))
    shrink_to_measured(
        model, 1.0, lambda _: Latency(next(readings), 0.0), goals=tmp_path / "goals.json"
    )
    assert len(model.steps) == steps


def test_a_network_that_stays_above_the_target_is_an_error(tmp_path: Path) -> None:
    """Nothing of its goals is kept: measured again it may be otherwise."""
    goals, model = tmp_path / "goals.json", Model()
    with pytest.raises(BneckError, match=r"measures 2 ms, above the target of 1 ms, although"):
        shrink_to_measured(model, 1.0, lambda _: Latency(2.0, 0.0), goals=goals)
    assert len(model.steps) == 2 + rules.TIGHTENINGS  # the seed, the target, the lower goals
    assert not goals.exists()


def test_a_goal_that_no_narrowing_reaches_is_forgotten(tmp_path: Path) -> None:
    """The measurement that it came of may have been one of a busy machine."""
    goals, model = tmp_path / "goals.json", Model()

    def reaches(target_ms: float, *_: object) -> tuple[Step, ...]:
        if target_ms < 1.0:
            raise OutOfReach("no narrowing reaches 0.9 ms")
        return Model.shrink(model, target_ms)

    model.shrink = reaches
    with pytest.raises(OutOfReach):
        shrink_to_measured(model, 1.0, lambda _: Latency(1.1, 0.0), goals=goals)
    found, _ = shrink_to_measured(model, 1.0, lambda _: Latency(0.9, 0.0), goals=goals)
    assert found.number == 1


@pytest.mark.parametrize("error", [BneckError, UsageError])
def test_the_goal_stands_where_fine_tuning_failed(tmp_path: Path, error: type[BneckError]) -> None:
    """The step on the way would be under the target, as the model errs by 5 %.

    A worker without the images, or on another version of bneck, refuses with a UsageError.
    """
    goals, model = tmp_path / "goals.json", Model()

    def fails(*_: object) -> None:
        model.steps.append(step(1, 1.03))
        raise error("every proposal failed")

    model.shrink = fails
    with pytest.raises(error):
        shrink_to_measured(model, 1.0, lambda _: measured(model, 0.95), goals=goals)
    del model.shrink
    found, _ = shrink_to_measured(model, 1.0, lambda _: measured(model, 0.95), goals=goals)
    assert found.latency_ms == 1.0


def test_a_network_whose_free_channels_cannot_be_trained_stays_as_it_is(tmp_path: Path) -> None:
    model = Model(free_ms=0.0)
    model.widen = lambda *_: None
    found, latency = shrink_to_measured(
        model, 1.0, lambda _: measured(model, 0.99), goals=tmp_path / "goals.json"
    )
    assert (found, latency.ms) == (model.steps[1], 0.99)


def test_what_was_aimed_at_stands_after_an_interruption(tmp_path: Path) -> None:
    """The step on the way, measured anew, would be under the target; the goal was a lower one."""
    goals, model = tmp_path / "goals.json", Model()

    def broken_off(*asked: object) -> None:
        model.steps.append(step(2, 0.98))
        raise KeyboardInterrupt

    def measure_first(_: object) -> Latency:
        if len(model.steps) == 2:
            model.shrink = broken_off
        return measured(model, 1.08)

    with pytest.raises(KeyboardInterrupt):
        shrink_to_measured(model, 1.0, measure_first, goals=goals)
    del model.shrink
    found, _ = shrink_to_measured(model, 1.0, lambda _: measured(model, 0.9), goals=goals)
    assert [one.latency_ms for one in model.steps] == pytest.approx([2.0, 1.0, 0.98, 1 / 1.08])
    assert found == model.steps[-1]


def test_a_network_on_the_way_is_not_taken_because_of_an_interruption(tmp_path: Path) -> None:
    """The model errs by 5 %: what is predicted above the target measures under it."""
    goals, model = tmp_path / "goals.json", Model()

    def broken_off(*asked: object) -> None:
        model.steps.append(step(1, 1.03))
        raise KeyboardInterrupt

    model.shrink = broken_off
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            shrink_to_measured(model, 1.0, lambda _: measured(model, 0.95), goals=goals)
    del model.shrink, model.steps[-1]
    found, _ = shrink_to_measured(model, 1.0, lambda _: measured(model, 0.95), goals=goals)
    assert found.latency_ms == 1.0


def test_a_network_that_was_narrowed_further_as_it_was_is_not_taken_for_its_wider_one(
    tmp_path: Path,
) -> None:
    """A faster target, met before, went on from it; its free channels measure as free."""
    narrower = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=10)
    model = Model(free_ms=0.0)
    model.steps += [step(1, 1.0), replace(step(2, 0.8), arch=narrower)]
    readings, goals = iter((2.0, 0.99, 0.99)), tmp_path / "goals.json"
    found, latency = shrink_to_measured(
        model, 1.0, lambda _: Latency(next(readings), 0.0), goals=goals, passed=True
    )
    assert (found, latency.ms) == (model.steps[1], 0.99)


@pytest.mark.parametrize(("seed_ms", "number"), [(0.99, 0), (1.02, 1)])
def test_a_slower_target_is_met_by_the_first_network_that_measures_under_it(
    seed_ms: float, number: int, tmp_path: Path
) -> None:
    """Also by the seed network, which is predicted above it."""
    model = Model(steps=[step(0, 1.05), step(1, 0.95), step(2, 0.8)])
    readings, goals = iter((seed_ms, 0.96)), tmp_path / "goals.json"
    found, _ = shrink_to_measured(
        model, 1.0, lambda _: Latency(next(readings), 0.0), goals=goals, passed=True
    )
    assert found.number == number


@pytest.mark.parametrize("recorded", [False, True])
def test_free_widths_that_a_kill_broke_off_are_widened_all_the_same(
    recorded: bool, tmp_path: Path
) -> None:
    """Measured anew, the network before would be above the target, and narrowed further."""
    goals, model = tmp_path / "goals.json", Model(free_ms=0.0)
    readings = iter((2.0, 0.99, 0.993))

    def broken_off(*_: object) -> None:
        if recorded:
            model.steps.append(step(2, 1.0))
        raise KeyboardInterrupt

    model.widen = broken_off
    with pytest.raises(KeyboardInterrupt):
        shrink_to_measured(model, 1.0, lambda _: Latency(next(readings), 0.0), goals=goals)
    del model.widen
    found, latency = shrink_to_measured(model, 1.0, lambda _: Latency(1.1, 0.0), goals=goals)
    assert [one.latency_ms for one in model.steps] == [2.0, 1.0, 1.0]
    assert (found, latency.ms) == (model.steps[-1], 0.993)


def test_goals_of_another_target_do_not_count(tmp_path: Path) -> None:
    goals = tmp_path / "goals.json"
    other, model = Model(), Model()
    shrink_to_measured(other, 1.2, lambda _: measured(other, 1.0), goals=goals)
    shrink_to_measured(model, 1.0, lambda _: measured(model, 1.0), goals=goals)
    assert [one.latency_ms for one in model.steps] == [2.0, 1.0]


def test_the_goal_is_tightened_four_times(tmp_path: Path) -> None:
    """It misses the target by ever less, and meets it at the fourth lower goal."""
    model = Model()
    readings = iter((2.0, 1.4, 1.3, 1.2, 1.1, 0.99))
    found, latency = shrink_to_measured(
        model, 1.0, lambda _: Latency(next(readings), 0.0), goals=tmp_path / "goals.json"
    )
    lower = (1.4, 1.4 * 1.3, 1.4 * 1.3 * 1.2, 1.4 * 1.3 * 1.2 * 1.1)
    assert [one.latency_ms for one in model.steps] == pytest.approx(
        [2.0, 1.0, *(1 / error for error in lower)]
    )
    assert (found.number, latency.ms) == (5, 0.99)
