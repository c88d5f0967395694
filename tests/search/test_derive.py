"""The whole derivation on real digits, killed in every stage; the device counts multiply-adds."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnxruntime
import pytest

from bneck.results import codec
from bneck.results.record import Outcome, Step
from bneck.results.run import Run
from bneck.space import codec as networks
from bneck.space.cost import cost

COMMAND = [sys.executable, "-c", "from bneck.cli import main; main()", "derive", "--json"]
PLAN = {
    "target": "0.85x:mobilenet_v3_small",
    "data": "digits",
    "resolution": 16,
    "runtime": "macs",
    "calibration-minutes": 0.02,
    "sampler": "random",
    "evaluations": 3,
    "batch": 2,
    "search-steps": 12,
    "fine-tune-steps": 2,
    "delta": 0.08,
    "epochs": 1,
    "workers": 1,
}


def start(out: Path, **changes: object) -> subprocess.Popen:
    options = [f"--{name}={value}" for name, value in {**PLAN, **changes}.items()]
    return subprocess.Popen(
        [*COMMAND, *options, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(out: Path, **changes: object) -> tuple[int, str, str]:
    process = start(out, **changes)
    stdout, stderr = process.communicate(timeout=300)
    return process.returncode, stdout, stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    code, stdout, stderr = finish(out)
    assert code == 0, stderr
    (out / "stdout.json").write_text(stdout)
    return out


def test_the_run_holds_what_the_command_says(whole: Path) -> None:
    result = json.loads((whole / "stdout.json").read_text())
    assert list(result) == [
        "target_ms",
        "predicted_ms",
        "measured_ms",
        "accuracy",
        "params",
        "macs",
        "arch",
        "onnx",
        "report",
        "seconds",
    ]
    assert result["measured_ms"] <= result["target_ms"]
    arch = networks.load(Path(result["arch"]))
    assert (arch.resolution_px, arch.classes) == (16, 10)
    assert (cost(arch).params, cost(arch).macs) == (result["params"], result["macs"])
    session = onnxruntime.InferenceSession(result["onnx"], providers=["CPUExecutionProvider"])
    notes = session.get_modelmeta().custom_metadata_map
    assert json.loads(notes["classes"]) == [str(digit) for digit in range(10)]
    assert "<html" in Path(result["report"]).read_text()
    assert Run.read(whole).state == "finished"


def test_a_finished_run_is_not_paid_for_again(whole: Path) -> None:
    before = (whole / "journal.log").read_bytes()
    code, stdout, stderr = finish(whole)
    assert code == 0, stderr
    assert json.loads(stdout) == json.loads((whole / "stdout.json").read_text())
    assert (whole / "journal.log").read_bytes() == before


def test_another_plan_is_refused(whole: Path) -> None:
    code, _, stderr = finish(whole, target="0.5")
    assert code == 2
    assert "--target was 0.85x:mobilenet_v3_small, now 0.5" in stderr
    assert "Traceback" not in stderr


BEGUN = {
    "search": lambda out: "accuracy" in (out / "journal.log").read_text(),
    "NetAdapt": lambda out: list((out / "checkpoints/netadapt").glob("step-*/proposals.jsonl")),
    "training": lambda out: (out / "network.json").exists(),
}


@pytest.mark.parametrize("stage", BEGUN)
def test_killed_and_started_again_it_ends_the_same(whole: Path, tmp_path: Path, stage: str) -> None:
    out = tmp_path / "run"
    process = start(out)
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if BEGUN[stage](out):
                break
        except FileNotFoundError:
            pass
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[1]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    code, _, stderr = finish(out)
    assert code == 0, stderr
    ours, theirs = Run.read(out), Run.read(whole)
    assert [(step.move, step.accuracy) for step in codec.read_lines(ours.steps, Step)] == [
        (step.move, step.accuracy) for step in codec.read_lines(theirs.steps, Step)
    ]
    got, expected = codec.read(ours.result, Outcome), codec.read(theirs.result, Outcome)
    assert got.arch == expected.arch
    assert got.accuracy == expected.accuracy


def test_ctrl_c_is_one_line_and_goes_on(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(out)
    while process.poll() is None and not (out / "seed.json").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert stderr.strip().splitlines()[-1].startswith("bneck: interrupted")
    code, _, stderr = finish(out)
    assert code == 0, stderr
    assert networks.load(out / "network.json") == networks.load(whole / "network.json")
