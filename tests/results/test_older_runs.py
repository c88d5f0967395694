"""A run of version 0.1, whose files spell out accuracies and latencies part by part."""

import json
import shutil
from pathlib import Path

import pytest

from bneck import records
from bneck.cli import run
from bneck.errors import UsageError
from bneck.quantities import Accuracy, Latency
from bneck.results.record import Baseline, Outcome, Step
from bneck.results.run import Run
from bneck.results.stage_record import SearchResult, Shrunk, Training
from tests.command_line import json_of

OLDER = Path(__file__).parent / "run_of_0.1"
CHANCE = Accuracy(0.1, 0.015811388300841896)


def test_its_records_have_values_in_one_piece() -> None:
    older = Run.read(OLDER)
    outcome = records.read(older.result, Outcome)
    assert outcome.predicted == Latency(0.001344403153100586, 9.56759165625855e-06)
    assert outcome.measured == Latency(0.001333, 0.0)
    assert outcome.accuracy == CHANCE
    (baseline,) = records.read_lines(older.baselines, Baseline)
    assert (baseline.measured, baseline.accuracy) == (Latency(0.001591, 0.0), CHANCE)
    (shrunk,) = records.read_lines(older.shrunk, Shrunk)
    assert shrunk.predicted == Latency(0.001344403153100586, None)  # it wrote no spread
    (winner,) = records.read(older.winners, SearchResult).networks
    assert winner.accuracy == Accuracy(0.10069444444444445)
    _, step = records.read_lines(older.steps, Step)
    assert step.accuracy == step.proposals[0].accuracy
    training = records.read(older.checkpoints / "derived.json", Training)
    assert training.accuracy == CHANCE


def test_what_is_read_is_written_in_one_piece_and_read_again(tmp_path: Path) -> None:
    outcome = records.read(OLDER / "result.json", Outcome)
    records.write(tmp_path / "result.json", outcome)
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["accuracy"] == {"value": CHANCE.value, "stderr": CHANCE.stderr}
    assert records.read(tmp_path / "result.json", Outcome) == outcome


def test_it_is_listed_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    older = shutil.copytree(OLDER, tmp_path / "older")
    (listed,) = json_of(capsys, "runs", tmp_path)["runs"]
    assert (listed["best"], listed["problem"]) == ("10.0 % at 0.00133 ms measured", "")
    compared = json_of(capsys, "compare", older, "mobilenet_v3_small", "--no-measure")
    one, published = compared["networks"]
    assert one["accuracy"] == published["accuracy"] == CHANCE.value
    assert one["accuracy_stderr"] == CHANCE.stderr


def test_half_a_value_is_refused_by_name() -> None:
    value = json.loads((OLDER / "result.json").read_text())
    with pytest.raises(UsageError, match="unknown key in Outcome: 'accuracy_error'"):
        records.from_json(Outcome, value | {"accuracy_error": 0.1})
    with pytest.raises(UsageError, match=r"Outcome.measured.ms must be a number, got 'x'"):
        records.from_json(Outcome, value | {"measured_ms": "x"})
    del value["predicted_ms"]
    with pytest.raises(UsageError, match=r"Outcome\.predicted"):
        records.from_json(Outcome, value)


@pytest.mark.parametrize("content", ['{"target_ms": "x"}', '{"target_ms": -1.0}', "[]", "{}"])
def test_what_cannot_be_targets_is_refused_in_one_line(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(OLDER, copy)
    (copy / "target.json").write_text(content)
    assert run(["report", str(copy)]) in (1, 2)
    said = capsys.readouterr().err
    assert "target.json" in said.splitlines()[-1]
    assert "Traceback" not in said
