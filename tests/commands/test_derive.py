"""``bneck derive``: what it prints and how it exits when it has ended."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bneck import records
from bneck.commands.derive import next_steps
from bneck.derivation.plan import Plan
from bneck.quantities import Accuracy, Latency
from bneck.results.classification import classification
from bneck.results.record import Int8, Outcome
from bneck.results.run import Run
from tests.command_line import said
from tests.finished_run import finished_run


@pytest.mark.parametrize(
    ("runtime", "export"),
    [
        ("onnxruntime", []),
        ("onnxruntime-int8", ["FILE.onnx --to onnx-int8"]),
        ("litert", ["FILE.tflite --to tflite"]),
        ("litert-int8", ["FILE.tflite --to tflite-int8"]),
    ],
)
def test_what_the_targets_runtime_reads_is_named(runtime: str, export: list[str]) -> None:
    """A run writes ``model.onnx``, whatever its latency is of."""
    first, *others = next_steps(Plan(runtime=runtime), Path("my run"), measured=True)
    assert first == "to use it: bneck predict 'my run' IMAGE..."
    assert others == [f"for {runtime}: bneck export 'my run' {words}" for words in export]


@pytest.mark.parametrize(("measured_ms", "code"), [(0.2, 0), (0.2001, 1)])
def test_a_finished_derivation_gives_its_figures_and_fails_where_it_misses_its_target(
    measured_ms: float, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the measurement, whatever is predicted; scripts go by the exit code."""
    run = Run.read(finished_run(tmp_path) / "runs" / "done")
    shutil.copy(tmp_path / "net.onnx", run.onnx)
    in_8_bits = Int8("plain", {"plain": 0.95}, Accuracy(0.8), Accuracy(0.9), Accuracy(0.1), 100)
    outcome = replace(
        records.read(run.result, Outcome), measured=Latency(measured_ms, 0.01),
        test_accuracy=Accuracy(0.75), int8=in_8_bits,
    )  # fmt: skip
    records.write(run.result, outcome)
    figures = classification(np.eye(2)[[0, 0, 0, 1]], np.array([0, 0, 1, 1]), ["a", "b"])
    records.write(run.classification, figures)
    asked = ("--target=0.2", "--data=digits", "--space=v3-small", "--workers=1")
    found, out, err = said(capsys, "derive", *asked, f"--out={run.folder}", "--json")
    assert found == code
    assert err.endswith("bneck: a network misses its target\n") == (code == 1)
    result = json.loads(out)
    assert result["met"] == (code == 0)
    assert (result["target_ms"], result["predicted_ms"]) == (0.2, 0.19)
    assert (result["measured_ms"], result["latency_is"]) == (measured_ms, "measured")
    shares = [result[f"{name}accuracy"] for name in ("", "test_", "int8_", "balanced_")]
    assert shares == [0.91, 0.75, 0.8, 0.75]
