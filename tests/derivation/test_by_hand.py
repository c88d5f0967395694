"""A derivation for a device that a kit is carried to: predicted first, measured in the end."""

import json
from pathlib import Path
from typing import Any

import pytest

from bneck.cli import run
from bneck.space import codec
from bneck.space.cost import cost
from tests.command_line import json_of

pytestmark = pytest.mark.slow


def carried(folder: Path) -> None:
    """Times everything in the kit on a device that takes 1 ns for each multiply-add."""
    kit = json.loads((folder / "kit.json").read_text())
    macs = [cost(codec.from_json(entry["arch"])).macs for entry in kit["networks"]]
    device = {"cpu": "far away", "cores": 4, "runtime": "onnxruntime", "version": "1", "threads": 1}
    items = [
        {
            "name": entry["name"], "arch": entry["arch"], "ratio": count / 1e6, "spread": 0.001,
            "reference_ms": 1.0, "reference_spread": 0.001, "pairs": 4, "quiet": True,
            "seconds": 1.0,
        }
        for entry, count in zip(kit["networks"], macs, strict=True)
    ]  # fmt: skip
    found = {"format": kit["format"], "device": device, "kit": kit["kit"], "items": items}
    (folder / "measurements.json").write_text(json.dumps(found))


def test_predicted_until_the_kit_was_carried_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "kit", tmp_path / "run"
    command = [
        "derive", "--target", "0.9x:mobilenet_v3_small", "--data", "digits", "--resolution", "16",
        "--target-device", f"file:{folder}", "--out", str(out), "--evaluations", "3",
        "--search-steps", "10", "--fine-tune-steps", "2", "--epochs", "0.3", "--json",
    ]  # fmt: skip

    def derived() -> Any:
        capsys.readouterr()
        code = run(command)
        said = capsys.readouterr()
        return json.loads(said.out) if code == 0 else said.err

    again = f"copy {folder} to the device, run `python measure.py` in it"
    assert "run `python measure.py` in it" in derived()
    carried(folder)
    found = derived()
    assert found["latency_is"] == "predicted"
    assert run(command[:-1]) == 0
    assert f"\nto measure it: {again}" in capsys.readouterr().out
    assert found["measured_ms"] is None
    assert found["met"]
    assert found["predicted_ms"] < found["target_ms"]
    assert "predicted only: not measured on the device" in (out / "report.html").read_text()
    card = (out / "model_card.md").read_text()
    assert "which no measurement has confirmed" in card
    assert " predicted |" in card
    assert derived() == found

    carried(folder)
    measured = folder / "measurements.json"
    there = measured.read_text()
    measured.write_text(there.replace("far away", "another board"))
    assert "calibrated on [far away" in derived()
    measured.write_text(there)
    found = derived()
    assert found["latency_is"] == "measured"
    kept = codec.load(out / "network.json")
    assert found["measured_ms"] == pytest.approx(cost(kept).macs / 1e6, rel=0.05)
    assert found["met"] == (found["measured_ms"] <= found["target_ms"])
    run(command[:-1])
    said = capsys.readouterr().out
    assert "\nto use it: bneck predict " in said
    assert again not in said
    assert "predicted only" not in (out / "report.html").read_text()
    assert "which no measurement has confirmed" not in (out / "model_card.md").read_text()


@pytest.mark.parametrize("command", ["search", "shrink"])
def test_a_stage_alone_names_what_is_predicted(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "kit"
    arguments = [command, "--target", "0.9x:mobilenet_v3_small", "--data", "digits"]
    arguments += ["--resolution", "16", "--target-device", f"file:{folder}", "--search-steps", "5"]
    arguments += ["--out", str(tmp_path / "run")]
    arguments += ["--evaluations", "2"] if command == "search" else ["mobilenet_v3_small"]
    arguments += ["--fine-tune-steps", "1"] if command == "shrink" else []
    assert run(arguments) == 1  # the kit is written
    carried(folder)
    found = json_of(capsys, *arguments)["networks"][0]
    assert found["measured_ms"] is None
    assert found["predicted_ms"] > 0
