"""`bneck calibrate`: a model and its page, which replace nothing but their own."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import bneck
from bneck.cli import run
from bneck.errors import UsageError
from bneck.latency import kit
from bneck.results.run import Run
from tests.command_line import json_of


def test_calibrate_writes_model_and_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "here" / "latency.json"
    options = ["--runtime", "macs", "--minutes", "0.1", "--resolution", "224", "--classes", "10"]
    result = json_of(capsys, "calibrate", *options, "--out", str(out))
    names = "device runtime seconds held_out mape_percent within_5_percent within_10_percent"
    assert {*names.split(), "repeat_mape_percent"} <= set(result)
    assert out.exists()
    assert out.with_suffix(".html").exists()
    wrong = ["latency", "mobilenet_v3_small", "--model", str(out), "--classes=10", "--threads=2"]
    assert run(wrong) == 2
    assert "the model was calibrated for threads 1, not for 2" in capsys.readouterr().err


@pytest.mark.parametrize("of", ["calibrate", "bneck.calibrate", "latency kit"])
def test_what_is_asked_of_a_calibration_reaches_it(
    of: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the command line, from Python, and for a device that a kit is carried to."""
    asked: dict[str, Any] = {}

    def waited(_: object, minutes: float, *__: object) -> None:
        asked["wait_quiet"] = minutes

    def noted(spaces: Any, device: Any = None, folder: Any = None, **others: Any) -> None:
        arch = spaces[0].decode(spaces[0].sample(0))
        asked.update(others, space=spaces[0].name, size=(arch.resolution_px, arch.classes))
        if of != "latency kit":
            here = device.fingerprint()
            asked.update(runtime=here.runtime, threads=here.threads, batch_size=here.batch_size)
        raise UsageError("noted")

    sizes = ["--space=mnasnet", "--resolution=48", "--classes=7", "--seed=5", "--batch-size=4"]
    more = ["--runtime=macs", "--threads=2", "--minutes=3"]
    out = tmp_path / "out.json"
    if of == "calibrate":
        monkeypatch.setattr("bneck.latency.calibration.calibrate.calibrate", noted)
        monkeypatch.setattr("bneck.latency.device_load.wait_until_quiet", waited)
        assert run([of, *sizes, *more, "--wait-quiet=0.5", f"--out={out}"]) == 2
        assert asked["wait_quiet"] == 0.5
    elif of == "latency kit":
        monkeypatch.setattr(kit, "write_kit", noted)
        assert run([*of.split(), *sizes, "--runtime=litert", f"--out={out}"]) == 2
    else:
        monkeypatch.setattr("bneck.notebook.run_calibration", noted)
        how = {"space": "mnasnet", "resolution_px": 48, "classes": 7, "seed": 5, "batch_size": 4}
        with pytest.raises(UsageError, match="noted"):
            bneck.calibrate(out, **how, runtime="macs", threads=2, minutes=3.0)
    expected = {"space": "mnasnet", "size": (48, 7), "seed": 5, "batch_size": 4}
    if of == "latency kit":
        expected |= {"runtime": "litert"}
    else:
        expected |= {"runtime": "macs", "threads": 2, "minutes": 3.0}
    assert {name: asked[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ("notes.json", "notes.json is there and is no latency model: name another file"),
        ("notes.html", "notes.html would be replaced: name another file, or move it away"),
    ],
)
def test_calibrate_replaces_nothing_but_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str, message: str
) -> None:
    (tmp_path / there).write_text("[1, 2]")
    assert run(["calibrate", "--runtime=macs", f"--out={tmp_path / 'notes.json'}"]) == 2
    assert message in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "[1, 2]")]


def test_no_calibration_replaces_a_runs_own(
    macs_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its networks, and its target, were predicted by the one that is there."""
    Run.open(tmp_path / "run", {"data": "digits"}).close()
    own = tmp_path / "run" / "latency.json"
    words = f"{own} is the run's own latency model: name another file"
    for _ in range(2):  # before it is there, and after
        assert run(["calibrate", "--runtime=macs", f"--out={own}"]) == 2
        assert capsys.readouterr().err == f"bneck: {words}\n"
        with pytest.raises(UsageError, match=re.escape(words)):
            bneck.calibrate(own, runtime="macs")
        shutil.copy(macs_folder / "latency.json", own)
