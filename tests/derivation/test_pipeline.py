"""The whole derivation on real digits, killed in every stage; the device counts multiply-adds."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path

import onnxruntime
import pytest

from bneck import records
from bneck.cli import run
from bneck.quantities import Accuracy, difference
from bneck.results.record import Baseline, Outcome, Step
from bneck.results.run import Run
from bneck.results.stage_record import Training
from bneck.space import codec as networks
from bneck.space.cost import cost
from tests.processes import command_begun

pytestmark = pytest.mark.usefixtures("forks_have_torch", "few_random_networks")

PLAN = {
    "target": "0.11x:mobilenet_v3_small",
    "space": "tests.small_networks:small_space",
    "data": "digits",
    "resolution": 16,
    "runtime": "macs",
    "sampler": "random",
    "evaluations": 3,
    "parallel": 2,
    "search-steps": 3,
    "fine-tune-steps": 1,
    "delta": 0.08,
    "epochs": 0.4,
    "workers": 1,
}


def command(latency: Path, out: Path, **changes: object) -> list[str]:
    plan = {**PLAN, "latency": latency, **changes}
    options = [f"--{name}={value}" for name, value in plan.items() if value is not None]
    return ["derive", "--json", *options, f"--out={out}"]


@pytest.fixture(scope="module")
def whole(
    few_random_networks: None, digits_latency: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    out = folder / "run"
    begun = time.monotonic()
    with (folder / "stdout.json").open("w") as stdout, redirect_stdout(stdout):
        assert run(command(digits_latency, out)) == 0
    shutil.move(folder / "stdout.json", out)
    (out / "wall_seconds").write_text(str(time.monotonic() - begun))
    return out


def test_the_run_holds_what_the_command_says(whole: Path) -> None:
    result = json.loads((whole / "stdout.json").read_text())
    assert list(result) == [
        "target_ms",
        "predicted_ms",
        "measured_ms",
        "latency_is",
        "met",
        "note",
        "accuracy",
        "balanced_accuracy",
        "int8_accuracy",
        "test_accuracy",
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
    report = Path(result["report"]).read_text()
    assert "Similarity to mobilenet_v3_small" in report
    run = Run.read(whole)
    assert run.read_state() == "finished"
    (baseline,) = records.read_lines(run.baselines, Baseline)
    lead = records.read(run.result, Outcome).lead
    assert lead.value == pytest.approx(result["accuracy"] - baseline.accuracy.value)
    right = [
        records.read(run.checkpoints / f"{name}.json", Training).right
        for name in ("derived", baseline.name)
    ]
    assert set(map(len, right)) == {360}
    assert lead == difference(Accuracy(result["accuracy"]), baseline.accuracy, *right)
    stages = json.loads((whole / "seconds.json").read_text())
    assert result["seconds"] == pytest.approx(sum(stages.values()))
    # A stage inside another counts once.
    assert result["seconds"] < float((whole / "wall_seconds").read_text())


def test_a_finished_run_is_not_paid_for_again(
    whole: Path, digits_latency: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (whole / "journal.log").read_bytes()
    assert run(command(digits_latency, whole)) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((whole / "stdout.json").read_text())
    assert (whole / "journal.log").read_bytes() == before


def test_a_finished_runs_missing_network_is_exported_again(
    whole: Path, digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command named a file that was not there; without weights there is none to be had."""
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    (out / "model.onnx").unlink()
    assert run(command(digits_latency, out)) == 0
    assert (out / "model.onnx").read_bytes() == (whole / "model.onnx").read_bytes()
    (out / "model.onnx").unlink()
    (out / "weights.safetensors").unlink()
    assert run(command(digits_latency, out)) == 2
    assert f"no such file: {out}/weights.safetensors" in capsys.readouterr().err


def test_several_targets_share_a_search_and_end_in_a_network_each(
    digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    quick = {"evaluations": 4, "search-steps": 2, "fine-tune-steps": 1, "delta": 0.2, "epochs": 0.1}
    targets = "0.11x:mobilenet_v3_small,0.09x:mobilenet_v3_small"
    derive = command(digits_latency, out, **quick, target=None, targets=targets)
    assert run(derive) == 0
    result = json.loads(capsys.readouterr().out)
    own, other = result["networks"]
    assert own == {name: value for name, value in result.items() if name != "networks"}
    inner = out / "targets" / f"{other['target_ms']:.4g}ms"
    for folder, network in ((out, own), (inner, other)):
        arch = networks.load(folder / "network.json")
        assert network["measured_ms"] <= network["target_ms"]
        assert network["macs"] == cost(arch).macs
        assert Path(network["onnx"]) == folder / "model.onnx"
        assert Run.read(folder).read_state() == "finished"
        assert len(Run.read(folder).journal.read_bytes()) == len((out / "journal.log").read_bytes())
    assert other["target_ms"] == pytest.approx(own["target_ms"] * 0.09 / 0.11, rel=1e-3)
    assert f'href="targets/{inner.name}/report.html"' in (out / "report.html").read_text()
    took, inner_took = (json.loads((each / "seconds.json").read_text()) for each in (out, inner))
    assert result["seconds"] == pytest.approx(sum(took.values()) + inner_took["NetAdapt"])
    inner_steps = (inner / "steps.jsonl").read_bytes()
    assert run(derive) == 0  # nothing is done again
    assert json.loads(capsys.readouterr().out) == result
    assert (inner / "steps.jsonl").read_bytes() == inner_steps
    kept = ("steps.jsonl", "seconds.json")
    before = [(inner / name).read_bytes() for name in kept]
    for folder in (out, inner):  # as if killed before the outcomes were written
        (folder / "result.json").unlink()
    assert run(derive) == 0  # nothing is done again, nor counted twice
    again = json.loads(capsys.readouterr().out)
    figures = ("target_ms", "measured_ms", "accuracy")
    for one, earlier in zip(again["networks"], result["networks"], strict=True):
        assert [one[name] for name in figures] == [earlier[name] for name in figures]
    assert [(inner / name).read_bytes() for name in kept] == before


def test_gpus_that_cannot_share_a_batch_are_refused_before_the_search(
    digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command(digits_latency, tmp_path / "run", gpus=3)) == 2
    *_, said = capsys.readouterr().err.splitlines()
    assert said == "bneck: a batch of 64 cannot be divided by 3 processes"
    assert not (tmp_path / "run").exists()
    alone = ["pretrain", "mobilenet_v3_small", "--data=digits", "--resolution=16", "--device=cpu"]
    assert run([*alone, "--gpus=3", f"--out={tmp_path}/alone"]) == 2
    *before, said = capsys.readouterr().err.splitlines()
    assert said == "bneck: a batch of 64 cannot be divided by 3 processes"
    assert not any(line.startswith("training") for line in before)
    assert not (tmp_path / "alone").exists()


def test_another_plan_is_refused(
    whole: Path, digits_latency: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command(digits_latency, whole, target="0.5")) == 2
    stderr = capsys.readouterr().err
    assert "--target was 0.11x:mobilenet_v3_small, now 0.5" in stderr
    assert "Traceback" not in stderr


STOPS = [
    ("search", signal.SIGKILL, lambda out: "accuracy" in (out / "journal.log").read_text()),
    ("search's end", signal.SIGINT, lambda out: (out / "seed.json").exists()),
    ("NetAdapt", signal.SIGKILL, lambda out: list(proposals(out))),
    ("training", signal.SIGKILL, lambda out: (out / "network.json").exists()),
]


def proposals(out: Path) -> Iterator[Path]:
    return (out / "checkpoints/netadapt").glob("step-*/fine-tuned.jsonl")


def stop(
    derive: list[str], out: Path, how: signal.Signals, begun: Callable[[Path], object]
) -> tuple[int, str]:
    """Start a run, and stop it when it has come so far."""
    stderr = out.with_name("stderr")
    stderr.write_text("")
    with command_begun(derive, stderr) as process:
        while process.is_alive():
            with suppress(FileNotFoundError):
                if begun(out):
                    break
            time.sleep(0.02)
        assert process.is_alive(), stderr.read_text()
        assert process.pid is not None
        os.kill(process.pid, how)
        process.join()
    assert process.exitcode is not None
    return process.exitcode, stderr.read_text()


def test_stopped_in_every_stage_it_ends_the_same(
    whole: Path, digits_latency: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    derive = command(digits_latency, out)
    for stage, how, begun in STOPS:
        code, stderr = stop(derive, out, how, begun)
        assert "Traceback" not in stderr, stage
        if how is signal.SIGINT:
            assert code == 130, stage
            assert stderr.strip().splitlines()[-1].startswith("bneck: interrupted")
        else:
            assert code == -how, stage
    assert run(derive) == 0
    ours, theirs = Run.read(out), Run.read(whole)
    assert [(step.move, step.accuracy) for step in records.read_lines(ours.steps, Step)] == [
        (step.move, step.accuracy) for step in records.read_lines(theirs.steps, Step)
    ]
    got, expected = records.read(ours.result, Outcome), records.read(theirs.result, Outcome)
    assert got.arch == expected.arch == networks.load(out / "network.json")
    assert got.accuracy == expected.accuracy


@pytest.mark.slow
def test_emptied_files_are_made_again(whole: Path, digits_latency: Path, tmp_path: Path) -> None:
    """As an earlier version, or a power loss, left them."""
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    for name in ("result.json", "ended.json", "shrunk.jsonl"):
        (out / name).unlink()
    for name in ("steps.jsonl", "baselines.jsonl"):
        (out / name).write_bytes(b"")
    assert run(command(digits_latency, out)) == 0
    got, expected = (records.read(Run.read(run).result, Outcome) for run in (out, whole))
    assert (got.arch, got.accuracy) == (expected.arch, expected.accuracy)
