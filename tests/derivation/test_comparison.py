"""Networks of any origin side by side: their accuracies, and latencies on one scale."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from bneck import records
from bneck.derivation import comparison
from bneck.files import write_json
from bneck.latency.devices.local import LocalDevice
from bneck.latency.measure import Measured
from bneck.latency.model import load
from bneck.latency.predictor import open_predictor
from bneck.latency.timing import Timing
from bneck.quantities import Accuracy, Latency
from bneck.results.exports import Samples, Trained, export, int8, onnx_int8
from bneck.results.run import Run
from bneck.results.stage_record import Shrunk
from bneck.space import codec as networks
from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model, weights
from bneck.space.cost import cost
from tests.finished_run import NOTES


def test_an_accuracy_holds_at_the_side_and_for_the_classes_of_the_training_alone(
    folder: Path,
) -> None:
    nets = [str(folder / "runs" / "done"), "mobilenet_v3_small"]
    trained, published = comparison.load(nets, resolution_px=32, classes=3)
    assert (trained.accuracy, published.accuracy) == (Accuracy(0.91, 0.02), Accuracy(0.88, 0.02))
    for other in ({"resolution_px": 64}, {"classes": 5}):
        assert [one.accuracy for one in comparison.load(nets, **other)] == [None, None]


def test_what_is_measured_on_the_scale_of_another_device_is_said(
    digits_latency: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, nets = load(digits_latency), ["mobilenet_v2", "mobilenet_v1"]
    table = comparison.load(nets, resolution_px=16, classes=10)
    comparison.measured(table, model=model)
    like_it = replace(model, device=replace(model.device, threads=2, batch_size=3))
    found = comparison.measured(table, model=like_it)
    assert [one.batch for one in found] == [3, 3]
    assert capsys.readouterr().err == ""
    comparison.measured(table, model=replace(model, device=replace(model.device, cpu="a phone")))
    assert "warning: this latency model is of [a phone, " in capsys.readouterr().err


def test_measurements_share_one_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference that took 1 ms beside one network and 3 ms beside the other took 2 ms."""
    took = iter([Timing(0.5, 0.01, 1.0, 0.0, 12, True), Timing(0.5, 0.01, 3.0, 0.0, 12, True)])

    def measure(*_: object, **__: object) -> Measured:
        timing = next(took)
        return Measured(timing.ms, 0.01 * timing.ms, "", timing)

    monkeypatch.setattr(comparison, "measure", measure)
    table = comparison.load(["mobilenet_v2", "mobilenet_v1"], resolution_px=32)
    found = [one.measured for one in comparison.measured(table)]
    assert [one.ms for one in found] == [1.0, 1.0]
    assert [one.std_ms for one in found] == pytest.approx([0.01, 0.01])  # as large a share


def test_a_runs_network_is_timed_with_its_weights_and_by_the_models_settings(
    folder: Path, digits_latency: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Denormal weights are slow; a model of two threads says nothing of one."""
    timed: list[tuple[object, dict[str, object] | None]] = []

    def measure(_: object, device: LocalDevice, *, weights: Any, **__: object) -> Measured:
        here = device.fingerprint()
        timed.append(((here.threads, here.batch_size), weights))
        return Measured(1.0, 0.0)

    monkeypatch.setattr(comparison, "measure", measure)
    trained = Run(shutil.copytree(folder / "runs" / "done", tmp_path / "run"), {})
    state = torch_model.build(networks.load(trained.network), seed=3).state_dict()
    weights.save(trained.weights, state)
    model = load(digits_latency)
    two = replace(model, device=replace(model.device, threads=2, batch_size=4))
    comparison.measured(comparison.load([str(trained.folder), "mobilenet_v2"]), model=two)
    assert [settings for settings, _ in timed] == [(2, 4)] * 2
    own, of_preset = (given for _, given in timed)
    assert of_preset is None
    assert own is not None
    assert own.keys() == state.keys()
    assert all(np.array_equal(own[name], one) for name, one in state.items())


def test_a_file_in_8_bits_is_timed_itself_and_not_its_float_network(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield torch.randn(4, 3, 32, 32), torch.zeros(4, dtype=torch.int64)

    timed: list[Architecture | Path] = []

    def measure(what: Architecture | Path, *_: object, **__: object) -> Measured:
        timed.append(what)
        # An ONNX file is timed against the reference of 1000 classes, which takes 2 ms.
        ms = 2.0 if isinstance(what, Path) else 1.0
        return Measured(ms, 0.0, "", Timing(1.0, 0.01, ms, 0.0, 12, True))

    monkeypatch.setattr(onnx_int8, "ways", lambda layers: int8.ways(layers)[:1])
    monkeypatch.setattr(comparison, "measure", measure)
    arch = networks.load(folder / "runs" / "done" / "network.json")
    state, file = torch_model.build(arch).state_dict(), tmp_path / "int8.onnx"
    samples = Samples(batches, batches, batches)
    export(Trained(arch, state, NOTES, samples), "onnx-int8", file)
    table = comparison.load([str(file), str(folder / "net.onnx")])
    table = comparison.measured(comparison.predicted(table, open_predictor("macs")))
    assert timed == [file, arch]
    in_8_bits, in_float = table
    assert (in_8_bits.params, in_8_bits.macs) == (in_float.params, in_float.macs)
    assert (in_8_bits.predicted, in_8_bits.peak_activation_bytes) == (None, None)
    assert in_float.predicted is not None
    assert (in_8_bits.measured, in_float.measured) == (Latency(2.0, 0.0), Latency(1.0, 0.0))


def test_a_file_of_ours_whose_weights_another_program_quantised_is_no_float_network(
    folder: Path, tmp_path: Path
) -> None:
    """Its maker stays bneck: what is timed is told by its weights, here a convolution's as int8."""
    model = onnx.load(folder / "net.onnx")
    weight = next(one for one in model.graph.initializer if len(one.dims) == 4)
    name = weight.name
    scale = np.abs(numpy_helper.to_array(weight)).max() / np.float32(127)
    whole = np.round(numpy_helper.to_array(weight) / scale).astype(np.int8)
    weight.CopyFrom(numpy_helper.from_array(whole, "in_8_bits"))
    model.graph.initializer.append(numpy_helper.from_array(scale, "scale"))
    node = helper.make_node("DequantizeLinear", ["in_8_bits", "scale"], [name])
    model.graph.node.insert(0, node)
    file = tmp_path / "weights.onnx"
    onnx.save(model, file)
    changed, in_float = comparison.load([str(file), str(folder / "net.onnx")])
    assert (changed.onnx, in_float.onnx) == (file, None)
    assert changed.arch == in_float.arch


def test_networks_of_several_sides_are_measured_on_the_models_scale(
    digits_latency: Path, tmp_path: Path
) -> None:
    """Whatever its side, a network takes as long as its multiply-adds on a device that counts."""
    model = load(digits_latency)
    files = [tmp_path / "32.json", tmp_path / "64.json"]
    archs = [
        presets.build("mobilenet_v2", resolution_px=int(file.stem), classes=10) for file in files
    ]
    for file, arch in zip(files, archs, strict=True):
        write_json(file, networks.to_json(arch))
    loaded = comparison.load([*map(str, files), "mobilenet_v1"])
    assert loaded[2].resolution_px == 32  # of the first that has a side of its own
    table = comparison.measured(loaded[:2], model=model)
    for arch, one in zip(archs, table, strict=True):
        assert one.measured.ms == pytest.approx(cost(arch).macs / 1e9, rel=0.01)


def test_a_derivation_that_was_cut_off_before_its_outcome_has_its_final_accuracy(
    folder: Path, tmp_path: Path
) -> None:
    """Not that of NetAdapt's last step, which other weights had."""
    cut_off = Run(shutil.copytree(folder / "runs" / "done", tmp_path / "cut"), {})
    cut_off.result.unlink()
    shutil.copy(folder / "net.onnx", cut_off.onnx)
    arch, took = networks.load(cut_off.network), Latency(0.18, 0.01)
    records.append(cut_off.shrunk, Shrunk(0.2, arch, 3, took, took, Accuracy(0.5, 0.02), met=True))
    one, *_ = comparison.load([str(cut_off.folder), "mobilenet_v2"])
    assert one.accuracy == Accuracy(0.91)
