"""``bneck latency``: predictions, measurements, and which options go with which."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bneck.cli import run
from bneck.latency.model import LatencyModel
from bneck.latency.runtimes.weights import norm_free
from bneck.machine import cores
from bneck.results.run import Run
from bneck.space import presets
from bneck.space.backends import onnx_model, torch_model, weights
from bneck.space.cost import cost
from tests.command_line import json_of
from tests.small_networks import saved, three_stages


def test_a_prediction_is_one_object(macs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = ["mobilenet_v3_small", "--resolution", "64", "--classes", "10"]
    model = ["--model", str(macs_folder / "latency.json")]
    result = json_of(capsys, "latency", *net, *model)
    measured = ["measured_ms", "measured_std_ms", "quiet", "note", "batch"]
    assert list(result) == ["device", "predicted_ms", "std_ms", *measured, "blocks"]
    assert "macs 1, 1 thread" in str(result["device"])
    assert [result[name] for name in measured] == [None] * 5
    blocks = result["blocks"]
    assert isinstance(blocks, dict)
    assert list(blocks)[:2] == ["stem", "s1.b1"]
    assert sum(blocks.values()) == pytest.approx(result["predicted_ms"])
    result = json_of(capsys, "latency", *net, *model, "--measure")
    arch = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
    assert result["measured_ms"] == pytest.approx(cost(arch).macs / 1e9, rel=0.001)
    assert (result["quiet"], result["note"]) == (True, "")


def test_a_network_may_be_called_net(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no word of the command's, which help would have to explain."""
    arch = three_stages()
    Run.open(tmp_path / "net", {"data": "digits"}).close()
    shutil.copy(saved(arch, tmp_path / "small.json"), tmp_path / "net" / "network.json")
    monkeypatch.chdir(tmp_path)
    result = json_of(capsys, "latency", "net", "--measure", "--runtime=macs")
    assert result["measured_ms"] == pytest.approx(cost(arch).macs / 1e9, rel=0.001)
    assert run(["latency"]) == 2
    alone = capsys.readouterr().err
    assert run(["latency", "--help"]) == 0
    assert capsys.readouterr().out == alone


def test_a_runs_own_latency_model_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run.open(tmp_path / "run", {"data": "digits"}).close()
    net, own = tmp_path / "run", tmp_path / "run" / "latency.json"
    shutil.copy(saved(three_stages(), tmp_path / "small.json"), net / "network.json")
    words = "nothing to do: give --model FILE, --measure or both; --onnx needs --measure"
    for end in ("", f"; --model {own} is the run's own"):
        assert run(["latency", str(net)]) == 2
        assert capsys.readouterr().err == f"bneck: {words}{end}\n"
        own.write_text("{}")


def test_a_kit_of_a_run_is_for_what_the_run_was_derived_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless options say otherwise, or devices cannot have its runtime."""
    arch = three_stages()
    for number, (own, options, expected) in enumerate(
        [
            ("onnxruntime-int8", [], ("onnxruntime-int8", 2)),
            ("onnxruntime-int8", ["--runtime=onnxruntime"], ("onnxruntime", 2)),
            ("macs", ["--batch-size=1"], ("onnxruntime", 1)),
        ]
    ):
        plan = {"data": "digits", "runtime": own, "batch_size": 2}
        with Run.open(tmp_path / f"run{number}", plan) as made:
            shutil.copy(saved(arch, tmp_path / "small.json"), made.network)
            weights.save(made.weights, torch_model.build(arch).state_dict())
        out = tmp_path / f"kit{number}"
        command = ["latency", "kit", f"--network={made.folder}", f"--out={out}", *options]
        assert run(command) == 0, capsys.readouterr().err
        written = json.loads((out / "kit.json").read_text())
        assert (written["runtime"], written["batch_size"]) == expected
        said_next = f"--runtime {expected[0]}" + " --batch-size 2" * (expected[1] == 2)
        assert capsys.readouterr().out.endswith(f"{said_next}`\n")


def test_a_prediction_in_words(macs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = ["mobilenet_v3_small", "--resolution", "64", "--classes", "10"]
    model = ["--model", str(macs_folder / "latency.json"), "--measure"]
    assert run(["latency", *net, *model]) == 0
    head, *blocks = capsys.readouterr().out.splitlines()
    number = r"0\.\d+ ± 0\.\d+ ms"
    words = rf"mobilenet_v3_small: predicted {number} on \[.*\], measured {number}; the machine .*"
    assert re.fullmatch(words, head)
    assert [line.split()[0] for line in blocks][:2] == ["stem", "s1.b1"]
    shares = [float(line.split()[-2]) for line in blocks]
    assert sum(shares) == pytest.approx(100, abs=1)
    assert min(float(line.split()[1]) for line in blocks) > 0  # not rounded to nothing


def test_a_busy_device_is_waited_for_as_long_as_was_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(
        "bneck.latency.device_load.wait_until_quiet", lambda _, minutes, *__: waited.append(minutes)
    )
    net = ("mobilenet_v3_small", "--resolution=16", "--classes=10", "--measure", "--runtime=macs")
    for minutes in (0.0, 0.5):
        json_of(capsys, "latency", *net, f"--wait-quiet={minutes}")
    assert waited == [0.0, 0.5]


def test_a_model_is_of_one_runtime_and_thread_count(
    macs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = ["mobilenet_v3_small", "--resolution", "64", "--classes", "10", "--measure"]
    model = ["--model", str(macs_folder / "latency.json")]
    assert run(["latency", *net, *model, "--runtime", "torch"]) == 2
    assert "calibrated for runtime macs, not for torch" in capsys.readouterr().err
    assert run(["latency", *net, *model, "--threads", "2"]) == 2
    assert "calibrated for threads 1, not for 2" in capsys.readouterr().err


def test_a_runtime_of_ones_own_is_measured_beside_its_model_where_it_is_named(
    macs_model: LatencyModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "own_runtime.py").write_text(
        "from bneck.latency.runtimes.macs import MacsRuntime\n\nMine = MacsRuntime\n"
    )
    own = replace(macs_model.device, runtime="own_runtime:Mine")
    replace(macs_model, device=own).save(tmp_path / "own.json")
    monkeypatch.chdir(tmp_path)
    net = ["mobilenet_v3_small", "--resolution", "64", "--classes", "10", "--measure"]
    assert run(["latency", *net, "--model", "own.json"]) == 2
    assert "give it as --runtime if you trust it" in capsys.readouterr().err
    named = ["--model", "own.json", "--runtime", "own_runtime:Mine"]
    result = json_of(capsys, "latency", *net, *named)
    assert result["measured_ms"] == pytest.approx(result["predicted_ms"], rel=0.01)


@pytest.mark.usefixtures("two_repetitions")
def test_an_onnx_file_needs_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arch = presets.build("mobilenet_v3_small", resolution_px=32, width=0.25, classes=10)
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_model.build(*norm_free(arch.layers())).SerializeToString())
    options = ["--measure", "--resolution", "32"]
    result = json_of(capsys, "latency", "--onnx", str(path), *options)
    assert result["predicted_ms"] is None
    assert isinstance(result["measured_ms"], float)
    threads = str(cores() + 1)
    assert run(["latency", "--onnx", str(path), *options, "--threads", threads]) == 0
    said = capsys.readouterr().err
    assert f"warning: --threads {threads} is more than this machine has: " in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["latency", "mobilenet_v3_small"], "give --model FILE, --measure or both"),
        (["latency", "--measure"], "either a network (NET) or an ONNX file"),
        (["latency", "mobilenet_v9", "--measure"], "'mobilenet_v9' is not a network"),
        (["latency", "kits"], "'kits' is not a network"),
        (["latency", "mobilenet_v2", "--model", "nowhere.json"], "no such file: nowhere.json"),
        (["latency", "mobilenet_v2", "--model", "table:no.csv"], "no such file: no.csv"),
        (["latency", "mobilenet_v2", "--measure", "--runtime", "x"], "unknown runtime 'x'"),
        (["latency", "--onnx", "no.onnx", "--measure"], "cannot read no.onnx"),
        (["latency", "--onnx", "x.onnx", "--measure", "--width=2"], "--width has no effect on an"),
        (
            ["latency", "mobilenet_v2", "--model=x.json", "--target-device=file:kit"],
            "--target-device has no effect without --measure: leave it out",
        ),
        (["calibrate", "--from", "no.json", "--out=m.json", "--threads=2"], "--threads has no"),
        (["calibrate", "--from", "no.json", "--out=m.json", "--minutes=2"], "--minutes has no"),
        (["latency", "kit", "--network", "x", "--out=kit", "--classes=2"], "--classes has no"),
        (["latency", "kit", "--network", "x", "--out=kit", "--seed=2"], "--seed has no"),
        (["latency", "kit", "--space", "v9", "--out", "kit"], "unknown space 'v9'"),
        (["calibrate", "--from", "no.json", "--out", "m.json"], "no such file: no.json"),
        (["calibrate", "--space", "v3-small,", "--out", "m.json"], "unknown space ''"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [["--runtime", "torch"], ["--threads", "2"], ["--batch-size=4"]])
def test_settings_that_a_prediction_does_not_have_are_refused(
    capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    assert run(["latency", "mobilenet_v3_small", "--model", "macs", *option]) == 2
    name = option[0].partition("=")[0]
    said = f"bneck: {name} has no effect without --measure: leave it out\n"
    assert capsys.readouterr() == ("", said)
