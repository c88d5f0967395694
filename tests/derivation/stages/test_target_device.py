"""Measurements of a run's networks: in one session or three, and with those before them."""

from dataclasses import replace
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

import pytest

from bneck import records
from bneck.derivation.schedule import Schedule
from bneck.derivation.stages.target_device import TargetDevice, agreeing
from bneck.latency.measure import MIN_REPETITIONS, Measured
from bneck.latency.model import LatencyModel, load
from bneck.latency.timing import Timing
from bneck.results.stage_record import KeptMeasurement
from bneck.space import presets
from bneck.units import milliseconds
from tests.clock import Clock
from tests.latency.machines import Scripted

SMALL = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=10)


def repeating(model: LatencyModel, percent: float) -> LatencyModel:
    return replace(model, report=replace(model.report, repeat_mape_percent=percent))


def of_sessions(*ratios: float) -> Scripted:
    """Answers with one ratio for a whole session, as each has its own on an unsteady machine."""
    steady = Timing(1.0, 0.0001, 2.0, 0.001, 6, True)
    each = [replace(steady, ratio=ratio) for ratio in ratios for _ in range(MIN_REPETITIONS)]
    return Scripted(*each[-1:], *each[:-1])  # it begins with the second


def test_where_measuring_again_differs_much_the_mean_of_all_sessions_counts(
    digits_latency: Path, tmp_path: Path
) -> None:
    """Sessions of one network on a shared server; the first three have a mean of 0.74."""
    ratios = (0.752, 0.735, 0.733, 0.775, 0.753, 0.748)
    device = of_sessions(*ratios)
    quiet_waits: list[int] = []
    said: list[tuple[str, int, int]] = []
    model = repeating(load(digits_latency), 8.0)
    target = TargetDevice(
        model,
        device,
        tmp_path / "history",
        lambda: quiet_waits.append(1),
        lambda what, done, total, note="": said.append((f"{what} {note}", done, total)),
    )
    first, second = target.measure(SMALL), target.measure(SMALL)
    ms = [ratio * model.scale.ms(replace(device.timings[0], ratio=1.0)) for ratio in ratios]
    assert first.ms == pytest.approx(fmean(ms[:3]))
    assert second.ms == pytest.approx(fmean(ms))
    assert second.std_ms == pytest.approx(stdev(ms) / 6**0.5, rel=0.3)
    assert "at another time of this run" in second.note
    assert len(quiet_waits) == 6
    assert said[:3] == [("measuring ", done, 3) for done in range(3)]
    assert said[3] == (f"measuring {milliseconds(first.latency)} ms", 3, 3)


def test_where_measuring_again_differs_little_one_session_counts(
    digits_latency: Path, tmp_path: Path
) -> None:
    device = of_sessions(0.752, 0.735)
    model = repeating(load(digits_latency), 2.0)
    target = TargetDevice(model, device, tmp_path / "history", lambda: None)
    wider = SMALL.at(classes=11)  # whose own time says nothing of this one's
    records.append(tmp_path / "history", KeptMeasurement(wider, 9.0, 0.1, ""))
    for ratio in (0.752, 0.735):
        took = target.measure(SMALL)
        assert took.timing is not None
        assert took.timing.ratio == ratio
        assert took.quiet
        assert took.ms == pytest.approx(model.scale.ms(took.timing))
    assert device.asked == 2 * MIN_REPETITIONS


def test_what_each_measurement_takes_is_noted_with_its_waits(
    digits_latency: Path, tmp_path: Path
) -> None:
    """Three sessions, before each of which the device was busy for 5 s."""
    clock = Clock()
    schedule = Schedule(clock=clock)

    def wait() -> None:
        clock.now += 5.0

    model, device = repeating(load(digits_latency), 8.0), of_sessions(0.752, 0.735, 0.733)
    history = tmp_path / "history"
    TargetDevice(model, device, history, wait, schedule=schedule).measure(SMALL)
    assert schedule.measured_s == [15.0]


def test_measurements_that_disagree_are_less_sure() -> None:
    """0.331 and 0.382 ms, seventeen minutes apart, each said to be known to half a percent."""
    took = Measured(0.382, 0.002)
    assert agreeing(took, []) == took
    assert agreeing(took, [0.381]) == took
    found = agreeing(took, [0.380, 0.331])
    assert found.std_ms == pytest.approx((0.382 - 0.331) / sqrt(2))
    assert "measured 0.331 ms at another time of this run" in found.note
    assert not found.quiet


def test_two_measurements_agree_up_to_3_percent() -> None:
    took = Measured(1.0, 0.1)
    assert agreeing(took, [1.029, 0.971]).quiet
    assert not agreeing(took, [1.031]).quiet
    assert not agreeing(took, [0.969]).quiet
