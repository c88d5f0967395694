"""Records as lines of JSON: written, torn, and somebody else's."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from bneck import records
from bneck.errors import BneckError, UsageError
from bneck.latency.published_table import PublishedTable
from bneck.quantities import Accuracy, Latency
from bneck.results.record import Outcome, Proposal, Record, Step
from bneck.results.stage_record import SelectedNetwork


def test_records_come_back_equal(
    record: Record, step: Step, outcome: Outcome, tmp_path: Path
) -> None:
    for value in (record, step, outcome):
        records.write(tmp_path / "one.json", value)
        assert records.read(tmp_path / "one.json", type(value)) == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"acuracy": 0.5}, "unknown key in Record: 'acuracy'; known: number, arch, accuracy"),
        ({"accuracy": "0.5"}, "Record.accuracy must be a number, got '0.5'"),
        ({"accuracy": math.nan}, "Record.accuracy must be a finite number, got nan"),
        ({"accuracy": 10**400}, "Record.accuracy must be a finite number"),
        ({"accuracy": 81.0}, "accuracy of a Record must be from 0 to 1, got 81.0"),
        ({"accuracy": None}, "record 7 needs either an accuracy or an error"),
        ({"number": True}, "Record.number must be a whole number, got True"),
        ({"latency_ms": -1.0}, "latency_ms of a Record must not be negative, got -1.0"),
        ({"made_with": {"host": 3}}, "Record.made_with.host must be text, got 3"),
        ({"arch": []}, "architecture must be a JSON object"),
    ],
)
def test_foreign_json_is_refused_by_name(
    record: Record, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(BneckError) as caught:
        records.from_json(Record, {**records.to_json(record), **change})
    assert str(caught.value).startswith(message)


def test_a_missing_key_is_named(step: Step) -> None:
    value = records.to_json(step)
    del value["proposals"][1]["saved_ms"]
    with pytest.raises(UsageError, match=r"Step.proposals\[1\] lacks the key 'saved_ms'"):
        records.from_json(Step, value)


def test_defaults_may_be_left_out(step: Step) -> None:
    value = records.to_json(step.proposals[0])
    del value["error"]
    assert records.from_json(Proposal, value) == step.proposals[0]


def test_nan_is_never_kept(record: Record) -> None:
    with pytest.raises(BneckError, match="reward of a Record must be finite, got nan"):
        Record(1, record.arch, 0.5, 1.0, math.nan, None, 1.0)


def test_lines_are_added_and_read(step: Step, tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    assert records.read_lines(path, Step) == ()
    records.append(path, step)
    records.append(path, step)
    assert records.read_lines(path, Step) == (step, step)


def test_a_kill_in_mid_line_costs_that_line_only(step: Step, tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    records.append(path, step)
    whole = path.read_bytes()
    for kept in (1, 100, len(whole) - 1):
        path.write_bytes(whole + whole[:kept])
        assert records.read_lines(path, Step) == (step,)
        records.append(path, step)
        assert path.read_bytes() == whole + whole


def test_a_kill_in_the_first_line(step: Step, tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_bytes(b'{"num')
    assert records.read_lines(path, Step) == ()
    records.append(path, step)
    assert records.read_lines(path, Step) == (step,)


def test_a_torn_middle_line_is_an_error(step: Step, tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    line = json.dumps(records.to_json(step))
    path.write_text(f"{line}\n{line[:50]}\n{line}\n")
    with pytest.raises(UsageError, match=r"steps.jsonl, line 2 is not valid JSON"):
        records.read_lines(path, Step)


def test_a_line_of_another_kind_is_an_error(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    records.append(path, record)
    with pytest.raises(UsageError, match=r"steps.jsonl, line 1: unknown key in Step: 'reward'"):
        records.read_lines(path, Step)


def test_a_full_disk_leaves_whole_lines(record: Record) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(BneckError, match="cannot write /dev/full"):
        records.append(full, record)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": 10**400}, "params of a Outcome must be finite"),
        ({"test_accuracy": {"value": 98.3}}, "test_accuracy of a Outcome must be from 0 to 1"),
        ({"target_ms": 0}, "target_ms of a Outcome must be above 0"),
        ({"predicted": {"ms": 0}}, "predicted ms of a Outcome must be above 0"),
        ({"measured": {"ms": 0.0}}, "measured ms of a Outcome must be above 0"),
    ],
)
def test_figures_that_no_network_has(
    outcome: Outcome, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(BneckError, match=message):
        records.from_json(Outcome, {**records.to_json(outcome), **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_ms": 0}, "target_ms of a SelectedNetwork must be above 0"),
        ({"predicted": {"ms": 1e999}}, "predicted.ms must be a finite number"),
        ({"accuracy": {"value": 81.0}}, "accuracy of a SelectedNetwork must be from 0 to 1"),
        ({"weight": -1e308}, "weight must be a number from -1000 to 0, got -1e"),
    ],
)
def test_figures_that_no_search_names(
    outcome: Outcome, change: dict[str, Any], message: str
) -> None:
    """The report draws a curve through the target, by the weight."""
    found = SelectedNetwork(7, outcome.arch, 1.5, Accuracy(0.81), Latency(1.46), None, 0.8, -0.15)
    with pytest.raises(BneckError, match=message):
        records.from_json(SelectedNetwork, {**records.to_json(found), **change})


@pytest.mark.parametrize("entry", [[1.0], [1.0, 0.1, 0.0]])
def test_tuples_of_a_fixed_length_have_that_length(entry: list[float]) -> None:
    with pytest.raises(UsageError, match=r"entries\.a must be 2 values, got \[1\.0"):
        records.from_json(PublishedTable, {"name": "table:x", "entries": {"a": entry}})
