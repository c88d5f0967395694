"""What ends a derivation: its networks measured."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bneck import records
from bneck.derivation.plan import Plan
from bneck.derivation.schedule import MEASURING, Schedule
from bneck.derivation.session import Session
from bneck.derivation.stages.outcome import keep_baseline
from bneck.derivation.stages.target_device import TargetDevice
from bneck.executors.serial import Serial
from bneck.latency.devices import Graph
from bneck.latency.model import load
from bneck.latency.timing import Effort, Timing
from bneck.quantities import Accuracy
from bneck.results.record import Baseline
from bneck.results.run import Run
from bneck.results.stage_record import Training
from bneck.space import presets
from bneck.space.backends import torch_model
from tests.latency.machines import Scripted

SMALL = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=10)


class Seen(Scripted):
    """Keeps the weights of all that it times."""

    def __init__(self, *timings: Timing) -> None:
        super().__init__(*timings)
        self.weights: list[Any] = []

    def time(
        self, graphs: Iterable[Graph], reference: Graph, effort: Effort
    ) -> Iterator[tuple[Timing, float]]:
        for graph in graphs:
            self.weights.append(graph.weights)
            yield from super().time([graph], reference, effort)


def test_why_a_baselines_latency_is_not_to_be_relied_on_is_kept(
    digits_latency: Path, tmp_path: Path
) -> None:
    busy = Scripted(Timing(0.75, 0.0001, 2.0, 0.001, 6, True, core_share=0.6))
    here = Serial()
    session = Session(Run(tmp_path, {}), Plan(target="1.0"), here, here)
    device = TargetDevice(load(digits_latency), busy, session.run.measurements, lambda: None)
    state = torch_model.build(SMALL, seed=3).state_dict()
    keep_baseline([session], device, SMALL, Training("small", None, 1.0), state)
    (kept,) = records.read_lines(session.run.baselines, Baseline)
    assert kept.note == "other programs used 40 % of this core during the measurement"


def test_a_baseline_is_measured_with_its_weights_and_taken_off_what_is_left(
    digits_latency: Path, tmp_path: Path
) -> None:
    seen = Seen(Timing(0.75, 0.0001, 2.0, 0.001, 6, True))
    schedule = Schedule(measurements={MEASURING: 2}, parts={MEASURING: 2})
    here = Serial()
    session = Session(Run(tmp_path, {}), Plan(target="1.0"), here, here, schedule=schedule)
    device = TargetDevice(
        load(digits_latency),
        seen,
        session.run.measurements,
        lambda: None,
        schedule=schedule,
    )
    state = torch_model.build(SMALL, seed=3).state_dict()
    other = replace(session, run=Run(tmp_path / "targets/1ms", {}))
    trained = Training("small", Accuracy(0.5, 0.1), 1.0)
    keep_baseline([session, other], device, SMALL, trained, state)
    assert seen.weights
    for timed in seen.weights:
        assert timed.keys() == state.keys()
        assert all(np.array_equal(timed[name], state[name]) for name in state)
    assert schedule.ended[MEASURING] == 1
    assert len(schedule.measured_s) == 1
    (kept,) = records.read_lines(session.run.baselines, Baseline)
    assert kept.measured is not None
    assert records.read_lines(other.run.baselines, Baseline) == (kept,)  # measured once
    added = replace(session, run=Run(tmp_path / "targets/2ms", {}))
    keep_baseline([session, other, added], device, SMALL, trained, state)
    assert records.read_lines(added.run.baselines, Baseline) == (kept,)
    assert len(schedule.measured_s) == 1
