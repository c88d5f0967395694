"""``bneck export``: of a network, of a run, and what it does not write."""

import json
import math
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import bneck
from bneck.errors import UsageError
from bneck.files import write_json
from bneck.results import metadata
from bneck.results.exports import Trained, export
from bneck.results.run import Run
from bneck.space import codec, presets
from bneck.space.backends import torch_model, weights
from tests.command_line import said


@pytest.mark.parametrize(
    ("to", "name", "beside"),
    [
        ("pytorch", "net.py", "net.safetensors"),
        ("torchvision", "net.py", "net.safetensors"),
        ("torchscript", "net.pt", "net.ops.yaml"),
    ],
)
def test_export_does_not_replace_a_file_that_was_not_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, to: str, name: str, beside: str
) -> None:
    (tmp_path / beside).write_text("mine")
    code, _, err = said(capsys, "export", "mobilenet_v3_small", tmp_path / name, "--to", to)
    assert code == 2
    assert err.endswith(f"{beside} would be replaced: name another file, or move it away\n")
    assert [path.name for path in tmp_path.iterdir()] == [beside]


@pytest.mark.parametrize(("to", "name"), [("onnx", "out.onnx"), ("torchvision", "out.py")])
def test_export_of_a_json_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, to: str, name: str
) -> None:
    net, file = tmp_path / "net.json", tmp_path / name
    arch = presets.build("mobilenet_v3_small", width=0.5, resolution_px=32, classes=10)
    net.write_text(json.dumps(codec.to_json(arch)))
    code, out, err = said(capsys, "export", net, file, "--to", to, "--json")
    assert code == 0, err
    assert json.loads(out)["error"] < 1e-4
    assert file.stat().st_size > 0
    assert f"warning: {net} has random weights: for trained ones give --weights, or a run" in err


def test_a_preset_is_exported_at_the_width_side_classes_and_seed_that_are_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ("--width=0.35", "--resolution=32", "--classes=7", "--seed=3")
    file, net = tmp_path / "net.onnx", "mobilenet_v3_small"
    assert said(capsys, "export", net, file, *asked)[0] == 0
    arch = presets.build(net, width=0.35, resolution_px=32, classes=7)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = torch_model.build(arch, seed=3).eval()(pixels).numpy()
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": pixels.numpy()})
    assert np.allclose(found, expected, rtol=0, atol=1e-4 * abs(expected).max())


def test_a_seed_is_for_random_weights_and_the_images_of_8_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    for asked in ([folder / "runs" / "done"], ["mobilenet_v2", "--weights", "x.safetensors"]):
        code, _, err = said(capsys, "export", asked[0], tmp_path / "x.onnx", *asked[1:], "--seed=3")
        assert code == 2
        assert err == ("bneck: --seed has no effect on trained weights in float: leave it out\n")


def test_a_run_that_is_not_trained_yet_exports_no_random_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a kill between the two files of the network leaves it."""
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    with Run.open(tmp_path / "run", {"data": "digits"}, command="bneck derive") as run:
        write_json(run.network, codec.to_json(arch))
    file = tmp_path / "x.onnx"
    code, out, err = said(capsys, "export", tmp_path / "run", file)
    assert (code, out) == (2, "")
    assert "run has no trained weights: the run is stopped" in err
    assert not file.exists()
    weights.save(run.weights, torch_model.build(arch, seed=0).state_dict())
    code, _, err = said(capsys, "export", tmp_path / "run", file)
    assert code == 0
    assert "run was stopped before its end: its weights may not be the final ones" in err
    assert file.exists()


def test_an_export_does_not_replace_the_runs_own_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an 8-bit file says of itself would be taken for the network's from then on."""
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    state = torch_model.build(arch, seed=0).state_dict()
    with Run.open(tmp_path / "run", {"data": "digits"}, command="bneck train") as run:
        write_json(run.network, codec.to_json(arch))
        weights.save(run.weights, state)
        export(Trained(arch, state), "onnx", run.onnx)
    before = run.onnx.read_bytes()
    code, _, err = said(capsys, "export", run.folder, run.onnx, "--resolution", 64)
    assert (code, err) == (2, f"bneck: {run.onnx} is the run's own network: name another file\n")
    with pytest.raises(UsageError, match="is the run's own network: name another file"):
        bneck.open_run(run.folder).export(run.onnx, "onnx-int8")
    assert run.onnx.read_bytes() == before
    bneck.open_run(run.folder).export(run.folder / "other.onnx")
    code, _, err = said(capsys, "export", run.onnx, tmp_path / "x.tflite", "--to", "tflite")
    assert code == 2
    assert re.search(
        r"model\.onnx is an ONNX file; expected a preset, a network's JSON file or", err
    )


@pytest.mark.parametrize("number", [math.nan, -math.inf])
def test_an_export_names_the_weights_that_are_no_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: float
) -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    state = torch_model.build(arch, seed=0).state_dict()
    state["head.classifier.linear.bias"][1] = number
    net, file = tmp_path / "net.json", tmp_path / "weights.safetensors"
    write_json(net, codec.to_json(arch))
    weights.save(file, state)
    code, _, err = said(capsys, "export", net, tmp_path / "x.onnx", "--weights", file)
    assert code == 2
    assert err == f"bneck: {file}: head.classifier.linear.bias has {number}, not finite numbers\n"


def test_a_damaged_onnx_file_of_a_run_is_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    with Run.open(tmp_path / "run", {"data": "digits"}, command="bneck train") as run:
        write_json(run.network, codec.to_json(arch))
        weights.save(run.weights, torch_model.build(arch, seed=0).state_dict())
        run.onnx.write_bytes(b"damaged")
    code, _, err = said(capsys, "export", tmp_path / "run", tmp_path / "x.onnx")
    assert (code, err.splitlines()[-1]) == (2, f"bneck: {run.onnx} is not an ONNX file")


def test_a_truncated_onnx_file_of_a_run_is_written_again_from_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the file said of the images stands in the run too."""
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    about = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1]}
    known = {"name": "digits", "fingerprint": "0" * 12, "class_names": ["a", "b", "c"], **about}
    state = torch_model.build(arch, seed=0).state_dict()
    with Run.open(tmp_path / "run", {"data": "digits"}, command="bneck train") as run:
        write_json(run.network, codec.to_json(arch))
        weights.save(run.weights, state)
        write_json(run.images, known)
        export(Trained(arch, state, metadata.notes(run)), "onnx", run.onnx)
    whole = run.onnx.read_bytes()
    run.onnx.write_bytes(whole[: len(whole) // 2])
    code, _, err = said(capsys, "export", tmp_path / "run", tmp_path / "x.onnx")
    assert code == 0
    assert (
        f"warning: {run.onnx} is not an ONNX file: what only that file said of the network is left "
        "out\n"
    ) in err
    assert (tmp_path / "x.onnx").read_bytes() == whole
