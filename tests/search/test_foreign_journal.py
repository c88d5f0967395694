"""Journals of somebody else, which may say anything."""

import json
from pathlib import Path

import pytest

from bneck.errors import UsageError
from bneck.executors.serial import Serial
from bneck.latency.predictor import Predictor
from bneck.search.journal import read_journal
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import Study
from bneck.search.trial_attributes import read_records
from bneck.space.choices import Space
from tests.search.journals import write_trials


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("accuracy", "lots", "accuracy must be a number, got 'lots'"),
        ("accuracy", 93.1, "accuracy of a Record must be from 0 to 1, got 93.1"),
        ("seconds", None, "seconds must be a number, got None"),
        ("rung", [1], "rung must be a whole number, got [1]"),
        ("latency_ms", {}, "latency_ms must be a number, got {}"),
        ("made_with", "cpu", "made_with must be an object, got 'cpu'"),
    ],
)
def test_what_no_evaluation_can_have_found_is_named(
    tmp_path: Path, space: Space, name: str, value: object, words: str
) -> None:
    file = tmp_path / "journal.log"
    write_trials(file, space, (0, 0, None), (1, 1, None))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    created = next(line for line in lines if line["op_code"] == 4)
    created["user_attrs"] |= {"made_with": {}, "rung": 0}
    for line in lines:
        for attrs in (line.get("user_attr", {}), line.get("user_attrs", {})):
            attrs |= {name: value} if name in attrs else {}
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UsageError) as caught:
        read_records(file, space)
    assert str(caught.value) == f"{file}: trial 0: {words}"


@pytest.mark.parametrize("change", [{"user_attrs": [1]}, {"system_attrs": 5}, {"values": 5}])
def test_a_line_of_another_shape_is_named(
    tmp_path: Path, space: Space, change: dict[str, object]
) -> None:
    file = tmp_path / "journal.log"
    write_trials(file, space, (0, 0, None))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    changed = [line | {k: v for k, v in change.items() if k in line} for line in lines]
    (number,) = [
        n for n, pair in enumerate(zip(lines, changed, strict=True), 1) if pair[0] != pair[1]
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in changed))
    with pytest.raises(UsageError, match=f"line {number} is not a line of an Optuna journal"):
        read_journal(file)


@pytest.mark.parametrize("name", ["trial_id", "params", "param_value_internal"])
def test_a_number_below_0_is_not_counted_from_the_end(
    tmp_path: Path, space: Space, name: str
) -> None:
    """The last trial got what was said of another, and the last choice stood for a damaged one."""
    file = tmp_path / "journal.log"
    write_trials(file, space, (0, 0, None), (1, 1, None))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    created = next(line for line in lines if line["op_code"] == 4)
    choice = next(iter(created["params"]))
    if name == "params":
        created["params"][choice] = -1
        number = 1 + lines.index(created)
    else:
        of_trial = {"trial_id": 0, "param_name": choice, "param_value_internal": 0.0}
        distribution = created["distributions"][choice]
        lines.append({"op_code": 5, **of_trial, "distribution": distribution, name: -1})
        number = len(lines)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = rf"line {number} is not a line of an Optuna journal \(IndexError: -1 is below 0\)"
    with pytest.raises(UsageError, match=words):
        read_journal(file)


@pytest.mark.parametrize(
    ("attrs", "change", "words"),
    [
        ("user_attrs", {"target": "a"}, "target must be a whole number from 0 on, got 'a'"),
        ("user_attrs", {"target": -1}, "target must be a whole number from 0 on, got -1"),
        ("user_attrs", {"rung": 9999}, "rung must be a whole number from 0 to 2, got 9999"),
        ("user_attrs", {"latency_ms": "x"}, "latency_ms must be a number, got 'x'"),
        ("user_attrs", {"latency_ms": None}, "latency_ms must be a number, got None"),
        ("user_attrs", {"latency_ms": -1}, "latency_ms must not be negative, got -1"),
        ("user_attrs", {"virtual_start": "x"}, "virtual_start must be a number, got 'x'"),
        ("system_attrs", {"refused": [0]}, "refused must be a place for each choice of "),
        ("system_attrs", {"refused": 5}, "refused must be a place for each choice of "),
    ],
)
def test_a_search_is_not_resumed_by_what_none_can_have_proposed(
    tmp_path: Path, space: Space, attrs: str, change: dict[str, object], words: str
) -> None:
    file = tmp_path / "journal.log"
    write_trials(file, space, (0, 0, None))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    created = next(line for line in lines if line["op_code"] == 4)
    created[attrs] |= change
    proposed = lines[: lines.index(created) + 1]  # killed before the result was in
    file.write_text("".join(json.dumps(line) + "\n" for line in proposed))
    with pytest.raises(UsageError) as caught:
        Study(file, space, sampler="random", seed=0)
    assert str(caught.value).startswith(f"{file}: trial 0: {words}")


def test_a_trial_that_waits_is_for_one_of_the_targets(
    tmp_path: Path, space: Space, model: Predictor
) -> None:
    file = tmp_path / "journal.log"
    write_trials(file, space, (0, 0, None))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    created = next(line for line in lines if line["op_code"] == 4)
    created["user_attrs"]["target"] = 2
    file.write_text("".join(json.dumps(line) + "\n" for line in lines[: lines.index(created) + 1]))
    study = Study(file, space, sampler="random", seed=0)
    two = Objectives(space, model, [Target(Soft(1.0)), Target(Soft(2.0))])
    with pytest.raises(UsageError) as caught:
        search(study, lambda arch: 0.5, objectives=two, evaluations=2, executor=Serial())
    said = f"{file}: trial 0: target must be a whole number from 0 to 1, got 2"
    assert str(caught.value) == said
