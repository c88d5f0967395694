"""`bneck compare` and `bneck runs` on networks and runs of every kind."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from bneck import records
from bneck.derivation import comparison
from bneck.errors import UsageError
from bneck.files import write_json
from bneck.latency.measure import Measured
from bneck.latency.model import load
from bneck.latency.predictor import open_predictor
from bneck.latency.timing import Timing
from bneck.quantities import Accuracy, Latency
from bneck.results import metadata
from bneck.results.differences import differences
from bneck.results.exports import Samples, Trained, export, int8, onnx_int8
from bneck.results.record import Baseline, Outcome
from bneck.results.run import Run
from bneck.results.stage_record import Shrunk, Training
from bneck.space import codec as networks
from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model
from bneck.space.cost import cost
from tests.command_line import said
from tests.test_predict import NOTES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/done, a finished run; runs/begun, one that has only begun; net.onnx of the first."""
    folder = tmp_path_factory.mktemp("compare")
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    counted = cost(arch)
    outcome = Outcome(
        arch,
        0.2,
        Latency(0.19, 0.01),
        Latency(0.18, 0.01),
        Accuracy(0.91, 0.02),
        counted.params,
        counted.macs,
        9.0,
    )
    plan = {"data": "digits", "target": "0.2", "space": "v3-small"}
    with Run.open(folder / "runs" / "done", plan) as done:
        records.write(done.result, outcome)
        small = presets.build("mobilenet_v3_small", resolution_px=32, classes=3)
        measured, trained = Latency(0.2, 0.01), Accuracy(0.88, 0.02)
        baseline = Baseline("mobilenet_v3_small", small, measured, trained, 1, 1, 1.0)
        records.append(done.baselines, baseline)
        about = {"name": "digits", "fingerprint": "123", "class_names": ["a", "b", "c"]}
        done.images.write_text(json.dumps(about))
        done.network.write_text(json.dumps(networks.to_json(arch)))
    Run.open(folder / "runs" / "begun", plan).close()
    state = torch_model.build(arch).state_dict()
    notes = NOTES | {"accuracy": "0.9100", "images": "digits (123)"}
    export(Trained(arch, state, notes), "onnx", folder / "net.onnx")
    return folder


def test_networks_of_every_origin(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    nets = "mobilenet_v3_small", folder / "runs" / "done", folder / "net.onnx"
    picture = tmp_path / "all.svg"
    code, out, err = said(
        capsys, "compare", *nets, "--no-measure", "--plot", picture, "--json"
    )  # fmt: skip
    assert code == 0, err
    shown = json.loads(out)
    preset, derived, file = shown["networks"]
    assert preset["resolution_px"] == 32
    assert preset["accuracy"] == 0.88  # as the run's baseline
    assert preset["images"] == derived["images"] == file["images"] == "digits (123)"
    assert derived["params"] == file["params"]
    assert derived["accuracy"] == file["accuracy"] == 0.91
    assert derived["accuracy_stderr"] == 0.02
    (stem,) = [d for d in shown["differences"] if (d["path"], d["trait"]) == ("stem", "out")]
    assert stem["values"] == ["16", "8", "8"]
    assert picture.read_text().lstrip().startswith("<?xml")
    code, out, _ = said(capsys, "compare", *nets, "--no-measure")
    assert "91.0 ± 2.0 %" in out
    assert "the accuracies are of different images" not in out


def test_the_same_images_may_go_by_several_names(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    """A folder that was moved or renamed has the same digest; another digest is other images."""
    shutil.copytree(folder / "runs" / "done", moved := tmp_path / "moved")
    about = json.loads((moved / "images.json").read_text())
    for name, digest, differ in (("folder:/mnt/x", "123", False), ("digits", "124", True)):
        (moved / "images.json").write_text(
            json.dumps({**about, "name": name, "fingerprint": digest})
        )
        nets = moved, folder / "net.onnx"
        code, out, err = said(capsys, "compare", *nets, "--no-measure")
        assert code == 0, err
        assert ("the accuracies are of different images" in out) == differ


def test_what_a_file_says_of_its_images_names_no_local_path(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "runs" / "done", of_a_folder := tmp_path / "run")
    about = json.loads((of_a_folder / "images.json").read_text())
    (of_a_folder / "images.json").write_text(
        json.dumps({**about, "name": "folder:/home/ada/photos"})
    )
    assert metadata.notes(Run.read(of_a_folder))["images"] == "folder:photos (123)"


@pytest.mark.parametrize("command", [["compare", "--no-measure", "mobilenet_v3_small"], ["show"]])
def test_a_finished_run_without_its_network_is_not_taken_for_the_one_before_netadapt(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, command: list[str]
) -> None:
    """Its accuracy stood beside the cost of the search's network."""
    run = Run.read(shutil.copytree(folder / "runs" / "done", tmp_path / "run"))
    run.network.rename(run.seed)
    code, _, err = said(capsys, *command, run.folder)
    assert (code, err) == (2, f"bneck: {run.network} is missing: copy all files of the run\n")
    run.result.unlink()  # as before a training has ended
    assert said(capsys, *command, run.folder)[0] == 0


def test_a_name_with_dollars_is_no_formula(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    name = r"$\nope$.json"
    shutil.copy(folder / "runs" / "done" / "network.json", tmp_path / name)
    nets = tmp_path / name, "mobilenet_v3_small"
    picture = tmp_path / "all.svg"
    assert said(capsys, "compare", *nets, "--no-measure", "--plot", picture)[0] == 0
    assert picture.exists()


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
    assert capsys.readouterr().err == ""
    comparison.measured(table, model=replace(model, device=replace(model.device, cpu="a phone")))
    assert "warning: this latency model is of [a phone, " in capsys.readouterr().err


def test_a_model_of_a_runtime_of_ones_own_says_how_to_go_on(
    digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a file names is imported by no command, and `compare` has no option that names it."""
    model, file = load(digits_latency), tmp_path / "own.json"
    replace(model, device=replace(model.device, runtime="own_runtime:Mine")).save(file)
    asked = ["mobilenet_v2", "mobilenet_v1", "--resolution=16", "--classes=10", "--model", file]
    code, _, err = said(capsys, "compare", *asked)
    assert code == 2
    assert err.startswith("bneck: the latency model is of the runtime 'own_runtime:Mine', and what")
    assert "give --no-measure, or time each network by `bneck latency NET --model FILE" in err
    assert said(capsys, "compare", *asked, "--no-measure")[0] == 0


def test_what_a_model_cannot_predict_is_said(
    digits_latency: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nets, size = ["mobilenet_v2", "mobilenet_v1"], ["--resolution=24", "--classes=10"]
    asked = [*nets, *size, "--no-measure", "--model", digits_latency]
    code, out, _ = said(capsys, "compare", *asked)
    assert code == 0
    for name in nets:
        assert f"{name}: not predicted: this latency model was calibrated at 16 px, not at" in out


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
    table = comparison.measured(comparison.load([str(file) for file in files]), model=model)
    for arch, one in zip(archs, table, strict=True):
        assert one.measured.ms == pytest.approx(cost(arch).macs / 1e9, rel=0.01)


def test_heads_differ_in_their_activations_too() -> None:
    one = presets.build("mobilenet_v3_small", resolution_px=32)
    for word, shown in (("relu6", "RE6"), ("sigmoid", "sigmoid"), ("none", "none")):
        other = replace(one, head=replace(one.head, activation=word))
        found = [(d.path, d.trait, d.values) for d in differences([one, other])]
        assert found == [
            (f"head.{name}", "activation", ("HS", shown)) for name in ("conv", "hidden")
        ]


def test_differences_name_blocks_that_are_missing() -> None:
    small = presets.build("mobilenet_v3_small", resolution_px=32)
    large = presets.build("mobilenet_v3_large", resolution_px=32)
    found = {(d.path, d.trait): d.values for d in differences([small, large])}
    assert found["s1.b1", "SE"] == ("yes", "no")
    assert found["s6.b3", "block"] == ("–", "k5 960→160 SE HS")
    assert found["s2.b1", "expansion"] == ("72", "64")
    assert found["head.hidden", "width"] == ("1024", "1280")
    assert ("stem", "out") not in found
    assert differences([small, small]) == ()
    order = list(dict.fromkeys(path for path, _ in found))
    assert order[-2:] == ["head.conv", "head.hidden"]
    assert order[:-2] == sorted(order[:-2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mobilenet_v2"], "give at least two networks to compare"),
        (["mobilenet_v2", "none.onnx"], "cannot read none.onnx"),
        (["mobilenet_v2", "mobilenet_v9"], "'mobilenet_v9' is not a network"),
        (["mobilenet_v2", "mobilenet_v1", "--plot", "a.gif"], "a picture ends in .png, .svg, .pdf"),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    code, _, err = said(capsys, "compare", *arguments, "--no-measure")
    assert code == 2
    assert err.startswith(f"bneck: {message}")


def test_runs_are_listed(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "runs", tmp_path / "moved")
    bad = tmp_path / "moved" / "bad"
    bad.mkdir()
    (bad / "plan.toml").write_text("target = ")
    code, out, err = said(capsys, "runs", tmp_path / "moved", "--json")
    assert code == 0, err
    listed = {Path(one["folder"]).name: one for one in json.loads(out)["runs"]}
    assert listed["done"]["state"] == "finished"
    assert listed["done"]["best"] == "91.0 % at 0.180 ms measured"
    assert listed["begun"]["state"] == "stopped"
    assert listed["begun"]["best"] == "no network yet"
    assert listed["begun"]["age_s"] >= 0
    assert listed["bad"]["state"] == "unreadable"
    assert "not valid TOML" in listed["bad"]["problem"]
    code, out, _ = said(capsys, "runs", tmp_path / "moved")
    assert len(out.splitlines()) == 4
    problem = listed["bad"]["problem"]  # long, at the end of its line: it widens no column
    (line,) = (line for line in out.splitlines() if line.endswith(f"  {problem}"))
    before = len(line) - len(problem)
    assert all(len(other) < before for other in out.splitlines() if other != line)
    code, _, err = said(capsys, "runs", folder / "net.onnx")
    assert code == 2
    assert "is a file, not a folder" in err


def test_runs_of_one_stage_are_listed_with_its_network(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    network = folder / "runs" / "done" / "network.json"
    arch = networks.load(network)
    found = Shrunk(
        0.2, arch, 3, Latency(0.19), Latency(0.181, 0.01), Accuracy(0.9, 0.02), met=False
    )
    with Run.open(tmp_path / "shrunk", {"data": "digits", "target": "0.2"}) as shrunk:
        records.append(shrunk.shrunk, found)
        shutil.copy(network, shrunk.network)
    with Run.open(
        tmp_path / "trained", {"data": "digits", "seed_network": "mobilenet_v2"}
    ) as trained:
        trained.checkpoints.mkdir()
        records.write(
            trained.checkpoints / "network.json", Training("network", Accuracy(0.85, 0.02), 9.0)
        )
        shutil.copy(network, trained.network)
    code, out, err = said(capsys, "runs", tmp_path, "--json")
    assert code == 0, err
    best = {Path(one["folder"]).name: one["best"] for one in json.loads(out)["runs"]}
    assert best == {"shrunk": "90.0 % at 0.181 ms measured", "trained": "85.0 %"}
    shutil.copy(folder / "net.onnx", shrunk.onnx)
    trained.onnx.write_bytes(shrunk.onnx.read_bytes()[:999])  # its weights may be whole
    compared = comparison.load([str(shrunk.folder), str(trained.folder)])
    assert [one.accuracy for one in compared] == [Accuracy(0.9, 0.02), Accuracy(0.85, 0.02)]
    shutil.copy(shrunk.onnx, trained.onnx)
    shutil.rmtree(trained.checkpoints)  # as in a copy of it
    (_, copied) = comparison.load([str(shrunk.folder), str(trained.folder)])
    assert copied.accuracy == Accuracy(0.91)


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


def test_a_run_of_another_version_says_which(folder: Path, tmp_path: Path) -> None:
    from bneck.derivation.report import report_data

    shutil.copytree(folder / "runs" / "done", tmp_path / "old")
    old = Run.read(tmp_path / "old")
    (session,) = old.read_sessions()
    (tmp_path / "old" / "made_with.jsonl").unlink()
    records.append(
        tmp_path / "old" / "made_with.jsonl",
        replace(session, versions={**session.versions, "bneck": "0.0.3"}),
    )
    with (tmp_path / "old" / "plan.toml").open("a") as plan:
        plan.write("warmth = 3\n")
    with pytest.raises(UsageError, match=r"made by bneck 0\.0\.3 and this is .*: unknown name .*"):
        report_data(Run.read(tmp_path / "old"))
