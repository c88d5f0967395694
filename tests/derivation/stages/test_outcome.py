"""What ends a derivation: its networks measured."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bneck import records
from bneck.derivation.plan import Plan
from bneck.derivation.schedule import MEASURING, Schedule
from bneck.derivation.session import Session
from bneck.derivation.stages.outcome import Derived, keep_baseline, outcome_stage
from bneck.derivation.stages.target_device import TargetDevice
from bneck.executors.serial import Serial
from bneck.latency.devices import Graph
from bneck.latency.devices.local import LocalDevice
from bneck.latency.model import load
from bneck.latency.timing import Effort, Timing
from bneck.quantities import Accuracy, Latency
from bneck.results.classification import classification
from bneck.results.record import Baseline, Outcome
from bneck.results.run import Run
from bneck.results.stage_record import Shrunk, Training
from bneck.space import codec, presets, spaces
from bneck.space.backends import torch_model, weights
from bneck.space.choices import Space
from bneck.space.cost import cost
from bneck.space.presets import MOBILENET_V3_SMALL
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
        load(digits_latency), seen, session.run.measurements, lambda: None, schedule=schedule
    )
    state = torch_model.build(SMALL, seed=3).state_dict()
    other = replace(session, run=Run(tmp_path / "targets/1ms", {}))
    trained = Training("small", Accuracy(0.5, 0.1), 1.0, Accuracy(0.4, 0.2))
    keep_baseline([session, other], device, SMALL, trained, state)
    assert seen.weights
    for timed in seen.weights:
        assert timed.keys() == state.keys()
        assert all(np.array_equal(timed[name], state[name]) for name in state)
    assert schedule.ended[MEASURING] == 1
    assert len(schedule.measured_s) == 1
    (kept,) = records.read_lines(session.run.baselines, Baseline)
    assert kept.measured is not None
    assert (kept.accuracy, kept.test_accuracy) == (Accuracy(0.5, 0.1), Accuracy(0.4, 0.2))
    assert (kept.params, kept.macs) == (cost(SMALL).params, cost(SMALL).macs)
    assert records.read_lines(other.run.baselines, Baseline) == (kept,)  # measured once
    added = replace(session, run=Run(tmp_path / "targets/2ms", {}))
    keep_baseline([session, other, added], device, SMALL, trained, state)
    assert records.read_lines(added.run.baselines, Baseline) == (kept,)
    assert len(schedule.measured_s) == 1


def test_a_faster_targets_network_is_named_with_all_that_is_its_own(
    digits_latency: Path, tmp_path: Path
) -> None:
    """Its weights, figures and latency, beside the target that it is named for."""
    space = spaces.build("v3-small", resolution_px=16, classes=10)
    slow, fast = sorted(
        (space.decode(space.sample(seed)) for seed in (0, 1)), key=lambda arch: -cost(arch).macs
    )
    session = Session(Run(tmp_path, {"data": "digits"}), Plan(), Serial(), Serial())
    device = TargetDevice(
        load(digits_latency), LocalDevice(runtime="macs"), session.run.measurements, lambda: None
    )
    names = {"derived": slow, "derived-faster": fast}
    derived = [
        Derived(session, Shrunk(ms, arch, 1, Latency(1.0), None, None, True), name)
        for ms, (name, arch) in zip((0.004, 0.002), names.items(), strict=True)
    ]
    states = {name: torch_model.build(arch, seed=3).state_dict() for name, arch in names.items()}
    for name, state in states.items():
        weights.save(session.run.training(name).weights, state)
    trained = {
        "derived": Training("derived", Accuracy(0.25, 0.2), 10.0, Accuracy(0.1, 0.1), "1000"),
        "derived-faster": Training("", Accuracy(0.75, 0.2), 20.0, Accuracy(0.7, 0.1), "1101"),
        MOBILENET_V3_SMALL: Training("", Accuracy(0.5, 0.25), 30.0, Accuracy(0.4, 0.1), "1100"),
    }
    figures = classification(np.eye(2), np.array([0, 1]), ["a", "b"])
    records.write(session.run.classification, figures)
    alone = Space("alone", {name: some[:1] for name, some in space.choices.items()}, space.decode)
    outcome_stage(session, derived[0], derived[1], trained, device, alone)
    found = records.read(session.run.result, Outcome)
    assert (found.arch, found.target_ms, found.derived_for_ms) == (fast, 0.004, 0.002)
    assert (found.accuracy, found.test_accuracy) == (Accuracy(0.75, 0.2), Accuracy(0.7, 0.1))
    assert (found.params, found.macs) == (cost(fast).params, cost(fast).macs)
    assert found.measured is not None
    assert found.measured.ms == pytest.approx(1e-9 * cost(fast).macs, rel=0.01)
    assert found.predicted == device.model.predict(fast)
    # One image of four tells for it: 1/4, by pairs give or take sqrt((1/4 - 1/16) / 4).
    assert found.lead == Accuracy(0.25, pytest.approx((3 / 16 / 4) ** 0.5))
    kept = weights.load(session.run.weights, fast)
    assert all(torch.equal(kept[path], one) for path, one in states["derived-faster"].items())
    assert codec.load(session.run.network) == fast
    session.run.result.unlink()
    outcome_stage(session, derived[0], derived[0], trained, device, alone)
    found = records.read(session.run.result, Outcome)
    assert (found.arch, found.derived_for_ms, found.lead.value) == (slow, None, -0.25)
