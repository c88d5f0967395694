"""`bneck compare` on networks of every origin."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bneck import records
from bneck.latency.model import load
from bneck.quantities import Accuracy, Latency
from bneck.results.run import Run
from bneck.results.stage_record import Shrunk
from bneck.space import codec
from tests.command_line import said


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


def test_an_accuracy_after_a_step_of_netadapt_is_called_so(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    """It is counted on other images than that of a final training."""
    run = Run(shutil.copytree(folder / "runs" / "done", tmp_path / "shrunk"), {})
    run.result.unlink()
    run.baselines.unlink()
    shutil.copy(folder / "net.onnx", run.onnx)
    took, accuracy = Latency(0.18, 0.01), Accuracy(0.5, 0.02)
    arch = codec.load(run.network)
    records.append(run.shrunk, Shrunk(0.2, arch, 3, took, took, accuracy, met=False))
    words = "its accuracy is that after the step's fine-tuning, on a part of the training images"
    asked = (run.folder, folder / "net.onnx", "--no-measure")
    for finish, said_of in (("", [words]), ('finish = "fine-tune"\n', [])):
        plan = run.folder / "plan.toml"
        plan.write_text(finish + plan.read_text())
        code, out, err = said(capsys, "compare", *asked)
        assert code == 0, err
        assert "50.0 ± 2.0 %" in out
        found = [line for line in out.splitlines() if "accuracy is" in line]
        assert found == [f"{run.folder}: {one}" for one in said_of]


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


def test_predicted_and_measured_latencies_have_columns_of_their_own(
    digits_latency: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """V3-Small at 16 px has 1.59 million multiply-adds, of which the device takes 1000 a ns."""
    nets = ["mobilenet_v3_small", "mobilenet_v1", "--resolution=16", "--classes=10"]
    _, out, _ = said(capsys, "compare", *nets, "--no-measure", "--model", digits_latency)
    head, row, *_ = (re.split("  +", line) for line in out.splitlines())
    assert head[4:] == ["peak memory", "predicted ms", "measured ms", "accuracy"]
    # In memory are the stem's input and output: (3 x 16^2 + 16 x 8^2) x 4 bytes.
    assert row[:5] == ["mobilenet_v3_small", "16", "1.53 M", "1.59 M", "7.17 kB"]
    assert float(row[5].partition(" ")[0]) == pytest.approx(0.00159, rel=0.02)
    assert row[6:] == ["–", "–"]


def test_predictions_of_another_device_and_of_wider_networks_are_said_to_be_such(
    digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, file = load(digits_latency), tmp_path / "board.json"
    replace(model, device=replace(model.device, cpu="Cortex-A72")).save(file)
    nets = ["mobilenet_v3_small", "mobilenet_v3_large", "--resolution=16", "--classes=10"]
    _, _, err = said(capsys, "compare", *nets, "--no-measure", "--model", file)
    wider, foreign = err.splitlines()
    assert wider.startswith("warning: mobilenet_v3_large: extrapolated: wider than anything timed")
    assert foreign.startswith("warning: this latency model is of [Cortex-A72, ")
    assert foreign.endswith("]: predictions are that device's")


def test_without_a_model_the_first_runs_own_predicts(
    capsys: pytest.CaptureFixture[str], folder: Path, digits_latency: Path, tmp_path: Path
) -> None:
    """Here one of another side, which it says."""
    run = Run.read(shutil.copytree(folder / "runs" / "done", tmp_path / "run"))
    shutil.copy(digits_latency, run.latency)
    _, out, _ = said(capsys, "compare", "mobilenet_v2", run.folder, "--no-measure")
    assert out.count("not predicted: this latency model was calibrated at 16 px, not at 32") == 2


def test_a_name_with_dollars_is_no_formula(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    name = r"$\nope$.json"
    shutil.copy(folder / "runs" / "done" / "network.json", tmp_path / name)
    nets = tmp_path / name, "mobilenet_v3_small"
    picture = tmp_path / "all.svg"
    assert said(capsys, "compare", *nets, "--no-measure", "--plot", picture)[0] == 0
    assert picture.exists()


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
