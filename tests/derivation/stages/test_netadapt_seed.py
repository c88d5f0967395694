"""A seed network that meets its target already costs no training that nothing would use."""

from pathlib import Path

import pytest
import torch

from bneck import records
from bneck.derivation.pipeline import derive
from bneck.derivation.plan import Plan
from bneck.derivation.session import Session
from bneck.derivation.stages.long_trainings import LongTraining, TrainingJob
from bneck.derivation.stages.netadapt_seed import met_by_seed
from bneck.derivation.stages.target_device import TargetDevice
from bneck.derivation.teacher import load_teacher
from bneck.derivation.training_budget import budget
from bneck.executors.serial import Serial
from bneck.latency.devices.local import LocalDevice
from bneck.latency.model import load
from bneck.proxies.data import loading
from bneck.quantities import Accuracy, Latency
from bneck.results.exports import Trained, export
from bneck.results.record import Outcome
from bneck.results.run import Run
from bneck.results.stage_record import SearchResult, SelectedNetwork, Shrunk
from bneck.space.backends import torch_model, weights
from bneck.space.cost import cost
from tests.small_networks import three_stages


def test_a_network_that_is_fast_enough_for_all_targets_alone_stays_as_it_is(
    digits_latency: Path, tmp_path: Path
) -> None:
    device = TargetDevice(
        load(digits_latency), LocalDevice(runtime="macs"), tmp_path / "history", lambda: None
    )
    network, kept = three_stages(), tmp_path / "kept.json"
    ms = 1e-9 * cost(network).macs
    assert met_by_seed(network, (2 * ms, 0.9 * ms), device, given=True, kept=kept) == ()
    both = met_by_seed(network, (2 * ms, 1.5 * ms), device, given=True, kept=kept)
    assert [one.target_ms for one in both] == [2 * ms, 1.5 * ms]
    for one in both:
        assert (one.arch, one.step, one.met) == (network, 0, True)
        assert one.predicted == device.model.predict(network)
        assert one.measured is not None
        assert one.measured.ms == pytest.approx(ms, rel=0.01)


@pytest.mark.parametrize("share", [1.0, 0.9])
def test_only_what_is_narrowed_is_trained_first(
    share: float, digits_latency: Path, tmp_path: Path
) -> None:
    seed_network = three_stages()
    records.write(tmp_path / "net.json", seed_network)
    master = Trained(seed_network, torch_model.build(seed_network, seed=5).state_dict())
    export(master, "onnx", tmp_path / "teacher.onnx")
    plan = Plan(
        data="digits", resolution_px=16, runtime="macs", latency=str(digits_latency), epochs=0.1,
        target=f"{share}x:{tmp_path}/net.json", search_steps=2, fine_tune_steps=1, delta=0.2,
        teacher=str(tmp_path / "teacher.onnx"),
    )  # fmt: skip
    with Run.open(tmp_path / "run", plan.as_dict()) as run:
        # What a search selected: a network that measures just what the target is a share of.
        ms = share * 1e-9 * cost(seed_network).macs
        latency = Latency(ms, 0.0)
        selected = SelectedNetwork(0, seed_network, ms, Accuracy(0.5), latency, latency, 0.5)
        records.write(run.winners, SearchResult((selected,)))
        (outcome,) = derive(Session(run, plan, Serial(), Serial()))
    (shrunk,) = records.read_lines(run.shrunk, Shrunk)
    assert shrunk.met == (share == 1.0)
    assert (run.checkpoints / "seed.json").exists() == (share < 1.0)
    assert run.steps.exists() == (share < 1.0)
    assert outcome == records.read(run.result, Outcome)
    assert outcome.arch == shrunk.arch
    assert (outcome.arch == seed_network) == (share == 1.0)
    assert run.network.exists()
    info = loading.load("digits", resolution_px=16).info  # trained by the teacher, from its seed
    asked = budget(plan, info)
    task = LongTraining(asked.images, asked.final, tmp_path, teacher=load_teacher(plan, info))
    task(TrainingJob("expected", outcome.arch, 0))
    expected = weights.load(tmp_path / "expected.safetensors", outcome.arch)
    kept = weights.load(run.weights, outcome.arch)
    assert all(torch.equal(kept[name], one) for name, one in expected.items())
