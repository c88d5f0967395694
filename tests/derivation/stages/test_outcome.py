"""What ends a derivation: its networks measured."""

from pathlib import Path

from bneck import records
from bneck.derivation.plan import Plan
from bneck.derivation.schedule import MEASURING, Schedule
from bneck.derivation.session import Session
from bneck.derivation.stages.calibration import TargetDevice
from bneck.derivation.stages.outcome import keep_baseline
from bneck.executors.serial import Serial
from bneck.latency.model import load
from bneck.latency.timing import Timing
from bneck.quantities import Accuracy
from bneck.results.record import Baseline
from bneck.results.run import Run
from bneck.results.stage_record import Training
from bneck.space import presets
from tests.latency.devices import Scripted

SMALL = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=10)


def test_a_network_that_is_measured_in_the_end_is_taken_off_what_is_left(
    digits_latency: Path, tmp_path: Path
) -> None:
    schedule = Schedule(measurements={MEASURING: 2}, parts={MEASURING: 2})
    here = Serial()
    session = Session(Run(tmp_path, {}), Plan(target="1.0"), here, here, schedule=schedule)
    device = TargetDevice(
        load(digits_latency),
        Scripted(Timing(0.75, 0.0001, 2.0, 0.001, 6, True)),
        session.run.measurements,
        lambda: None,
        schedule=schedule,
    )
    keep_baseline(session, device, SMALL, Training("small", Accuracy(0.5, 0.1), 1.0))
    assert schedule.ended[MEASURING] == 1
    assert len(schedule.measured_s) == 1
    (kept,) = records.read_lines(session.run.baselines, Baseline)
    assert kept.measured is not None
