"""Targets that are added to a run's plan, left out of it, or corrected."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bneck import records
from bneck.derivation.allowed_changes import change_plan
from bneck.derivation.plan import Plan
from bneck.derivation.target import keep_targets, kept_targets
from bneck.errors import UsageError
from bneck.progress import silent
from bneck.quantities import Latency
from bneck.results.plan_change import CHANGE
from bneck.results.run import Run
from bneck.results.stage_record import SearchResult, Shrunk
from bneck.space import presets


def test_with_a_further_target_every_target_is_decided_again(tmp_path: Path) -> None:
    """The network of a faster one may be more accurate than that of each slower one."""
    before = Plan(targets="1,0.9")
    for file in ("result.json", "network.json"):
        for place in (tmp_path, tmp_path / "targets/0.9ms"):
            place.mkdir(parents=True, exist_ok=True)
            (place / file).write_text("{}")
    change_plan(Run(tmp_path, Plan(targets="1,0.9,0.5").as_dict()), before.as_dict(), silent)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")}
    assert left == {
        "network.json", "targets/0.9ms/network.json",
        "superseded/1/result.json", "superseded/1/targets/0.9ms/result.json",
        f"superseded/1/{CHANGE}",
    }  # fmt: skip


def test_what_makes_way_with_a_target_that_is_left_out(tmp_path: Path) -> None:
    before = Plan(targets="1,0.9,0.8")
    keep_targets(Run(tmp_path, {}), [1.0, 0.9, 0.8])
    trained = "checkpoints/derived-0.8ms.json"
    of_others = ("targets/0.9ms/result.json", "targets/0.8ms/result.json")
    for name in ("result.json", trained, *of_others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    change_plan(Run(tmp_path, Plan(targets="1,0.9").as_dict()), before.as_dict(), silent)
    superseded = tmp_path / "superseded/1"
    left = {path.relative_to(superseded).as_posix() for path in superseded.rglob("*.json")}
    assert left == {"target.json", "result.json", trained, *of_others, CHANGE}
    assert kept_targets(Run(tmp_path, {})) == (1.0, 0.9)
    assert [place.name for place in tmp_path.glob("targets/*")] == ["0.9ms"]


@pytest.mark.parametrize("targets", ["1", "1,0.9", "1,0.9,0.8"])
def test_targets_change_together_with_what_replaces_the_work_for_all(
    targets: str, tmp_path: Path
) -> None:
    """Their files made way first, and the folder that holds them could not follow."""
    before = Plan(targets="1,0.9")
    keep_targets(Run(tmp_path, {}), [1.0, 0.9])
    files = ("targets/0.9ms/result.json", "targets/0.9ms/plan.toml", "targets/1ms.json")
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    after = Plan(targets=targets, delta=0.1, promote=True)
    change_plan(Run(tmp_path, after.as_dict()), before.as_dict(), silent)
    assert all((tmp_path / "superseded/1" / name).is_file() for name in files)
    assert not (tmp_path / "targets").exists()


def test_a_target_that_shrink_has_met_is_not_left_out(tmp_path: Path) -> None:
    """The run's network may be that one's."""
    before = Plan(seed_network="mobilenet_v3_small", targets="1,0.9")
    shrunk = Run(tmp_path, replace(before, targets="1").as_dict())
    keep_targets(shrunk, [1.0, 0.9])
    arch = presets.build("mobilenet_v3_small")
    took = Latency(0.9, 0.0)
    records.append(shrunk.shrunk, Shrunk(0.9, arch, 1, took, took, None, False))
    with pytest.raises(UsageError, match=r"--targets was 1,0\.9, now 1; use another --out"):
        change_plan(shrunk, before.as_dict(), silent)


def test_no_target_is_left_out_while_networks_for_it_are_evaluated(tmp_path: Path) -> None:
    before = Plan(targets="1,0.9")
    searching = Run(tmp_path, replace(before, targets="1").as_dict())
    keep_targets(searching, [1.0, 0.9])
    searching.journal.touch()
    with pytest.raises(UsageError, match=r"--targets was 1,0\.9, now 1; use another --out"):
        change_plan(searching, before.as_dict(), silent)
    records.write(searching.winners, SearchResult(()))
    change_plan(searching, before.as_dict(), silent)
    assert kept_targets(searching) == (1.0,)


@pytest.mark.parametrize(
    "change",
    [
        {"targets": "0.5,0.9"},
        {"targets": "1,0.5,0.8"},
        {"targets": None, "target": "0.5"},
        {"targets": None, "target": "0.5", "epochs": 2.0},
        {"seed_factor": 1.5},
        {"confidence": 0.8},
    ],
)
@pytest.mark.parametrize("work", ["journal.log", "steps.jsonl", None])
def test_what_is_aimed_at_may_be_corrected_until_a_network_was_evaluated(
    tmp_path: Path, work: str | None, change: dict[str, Any]
) -> None:
    """As where a target is refused by the calibrated model: its minutes are not lost."""
    before = Plan(targets="1,0.9")
    corrected = Run(tmp_path, replace(before, **change).as_dict())
    keep_targets(corrected, [1.0, 0.9])
    corrected.latency.write_text("{}")
    if work is not None:
        (tmp_path / work).write_text("{}\n")
        with pytest.raises(UsageError, match=r"now .*; use another --out, and --latency"):
            change_plan(corrected, before.as_dict(), silent)
        return
    lines: list[str] = []
    change_plan(corrected, before.as_dict(), lambda _what, _done, _of, line="": lines.append(line))
    assert [line.rpartition(": ")[2] for line in lines] == ["reusing the calibration"]
    assert kept_targets(corrected) == (() if "targets" in change else (1.0, 0.9))
    assert corrected.latency.exists()
