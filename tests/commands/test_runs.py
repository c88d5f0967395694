"""`bneck runs`: changed files are named, a lock is broken, one broken run hides no other."""

import json
import os
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bneck import records
from bneck.cli import run
from bneck.derivation import comparison, run_list
from bneck.quantities import Accuracy, Latency
from bneck.results import checksums
from bneck.results.lease import LEASE, Driver, read_driver
from bneck.results.plan_change import SUPERSEDED
from bneck.results.record import Outcome
from bneck.results.run import Run
from bneck.results.run_files import SHOWN
from bneck.results.stage_record import Shrunk, Training
from bneck.space import codec as networks
from bneck.units import percent
from tests.command_line import json_of, said
from tests.results import demo

OLDER = Path(demo.__file__).with_name("run_of_0.1")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    shutil.copytree(OLDER, tmp_path / "one")
    shutil.copytree(OLDER, tmp_path / "two")
    return tmp_path


def test_where_runs_usually_lie_is_a_folder_that_need_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    here = "bneck: no such folder: runs; for those of this folder: bneck runs .\n"
    assert said(capsys, "runs") == (2, "", here)
    assert said(capsys, "runs", "other") == (2, "", "bneck: no such folder: other\n")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("result.json", '{"arch": 1}'),
        ("result.json", "{"),
        ("plan.toml", "= ="),
        ("plan.toml", 'epochs = "many"'),
        (
            "made_with.jsonl",
            '{"started": "", "command": "", "device": "", "cores": 1, "versions": {}}\n',
        ),
        ("made_with.jsonl", "[]\n"),
    ],
)
def test_one_broken_run_hides_no_other(
    runs: Path, capsys: pytest.CaptureFixture[str], file: str, content: str
) -> None:
    (runs / "two" / file).write_text(content)
    one, two = sorted(json_of(capsys, "runs", runs)["runs"], key=lambda one: one["folder"])
    assert (one["state"], one["problem"]) == ("finished", "")
    if file != "plan.toml" or content == "= =":
        assert two["problem"] != ""


def test_a_run_from_the_future_has_no_age_below_0(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clock may be set back, and a run come from a machine whose clock is ahead."""
    sessions = runs / "one/made_with.jsonl"
    sessions.write_text(re.sub(r'"started": ?"\d{4}', '"started":"2999', sessions.read_text()))
    one = json_of(capsys, "runs", runs / "one")["runs"][0]
    assert (one["problem"], one["age_s"]) == ("", 0.0)


def test_the_network_that_a_stage_named_is_the_best(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rewards of the trials would not tell: each was found by the w of its time, or by none."""

    def best() -> list[str]:
        return [one["best"] for one in json_of(capsys, "runs", runs / "one")["runs"]]

    (runs / "one" / "result.json").unlink()
    after_netadapt = best()
    for name in ("shrunk.jsonl", "network.json"):
        (runs / "one" / name).unlink()
    assert best() == ["10.1 % at 0.00136 ms measured, network 3"]
    assert after_netadapt == ["9.7 % at 0.00133 ms measured, after the step's fine-tuning"]


def test_a_prediction_takes_nothing_from_the_final_accuracy(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing measured the network, as with a kit; NetAdapt's accuracy was 9.7 %."""
    file = runs / "one" / "result.json"
    outcome = records.read(file, Outcome)
    said = replace(outcome, accuracy=Accuracy(0.5), measured=None, predicted=Latency(2.0, 0.1))
    records.write(file, said)
    (listed,) = json_of(capsys, "runs", runs / "one")["runs"]
    assert listed["best"] == "50.0 % at 2.00 ms predicted"


def test_what_a_change_of_plan_replaced_is_no_run(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(OLDER, runs / "one" / SUPERSEDED / "1")
    found = json_of(capsys, "runs", runs / "one")["runs"]
    assert [one["folder"] for one in found] == [str(runs / "one")]
    shutil.copytree(OLDER, runs / SUPERSEDED / "three")  # a folder of the user's own
    found = json_of(capsys, "runs", runs)["runs"]
    assert len(found) == 3


def test_the_run_that_changed_last_comes_first(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, ago_s in (("one", 7200), ("two", 3600)):
        for file in (runs / name).iterdir():
            os.utime(file, (time.time() - ago_s,) * 2)
    found = json_of(capsys, "runs", runs)["runs"]
    assert [Path(one["folder"]).name for one in found] == ["two", "one"]
    for name in SHOWN:  # as whoever only looks at a run writes them
        (runs / "one" / name).touch()
    found = json_of(capsys, "runs", runs)["runs"]
    assert [Path(one["folder"]).name for one in found] == ["two", "one"]
    os.utime(runs / "one" / "plan.toml")
    found = json_of(capsys, "runs", runs)["runs"]
    assert [Path(one["folder"]).name for one in found] == ["one", "two"]


def test_a_run_has_its_age_and_the_time_since_its_last_change(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one that began in a year to come, and was written an hour ago."""
    sessions = runs / "one/made_with.jsonl"
    sessions.write_text(re.sub(r'"started": ?"\d{4}', '"started":"2999', sessions.read_text()))
    for file in (runs / "one").iterdir():
        os.utime(file, (time.time() - 3600,) * 2)
    _, out, _ = said(capsys, "runs", runs / "one")
    head, row = (re.split("  +", line) for line in out.splitlines())
    shown = dict(zip(head, row, strict=False))
    assert (shown["age"], shown["last change"][:3]) == ("0 s", "1 h")


def test_of_several_targets_the_last_network_of_netadapt_is_the_runs_own(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "one" / "result.json").unlink()
    file = runs / "one" / "shrunk.jsonl"
    (last,) = records.read_lines(file, Shrunk)
    slower = replace(last, accuracy=Accuracy(0.9, 0.01), measured=Latency(9.0, 0.1))
    records.write_lines(file, [slower, last])
    (listed,) = json_of(capsys, "runs", runs / "one")["runs"]
    assert listed["best"] == "9.7 % at 0.00133 ms measured, after the step's fine-tuning"


def test_a_search_for_the_front_has_a_best_trial_too(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trials have no reward, and none is named yet."""
    for name in ("result.json", "shrunk.jsonl", "network.json", "winners.json"):
        (runs / "one" / name).unlink()
    trials = [replace(one, reward=None) for one in demo.records(9) if one.accuracy is not None]
    top = max(trials, key=lambda record: record.accuracy or 0.0)
    monkeypatch.setattr(run_list, "read_trials", lambda run: trials)
    (best,) = [one["best"] for one in json_of(capsys, "runs", runs / "one")["runs"]]
    assert best.endswith(f"ms predicted, trial {top.number}")
    assert best.startswith(percent(top.accuracy))


def test_what_was_changed_is_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checksums.seal(runs / "one")
    assert run(["runs", str(runs), "--check"]) == 0
    (runs / "one" / "result.json").write_text((runs / "one" / "result.json").read_text() + "\n")
    assert run(["runs", str(runs)]) == 0
    assert run(["runs", str(runs), "--check"]) == 1
    err = capsys.readouterr().err
    assert err == f"bneck: changed since the run wrote them: {runs / 'one' / 'result.json'}\n"
    (runs / "one" / "network.json").unlink()
    gone = f"missing: {runs / 'one' / 'network.json'}"
    assert run(["runs", str(runs), "--check"]) == 1
    assert capsys.readouterr().err == f"{err.strip()}; {gone}\n"
    assert run(["runs", str(runs), "--check", "--json"]) == 1
    both = json.loads(capsys.readouterr().out)["runs"]
    (one,) = (one for one in both if one["folder"] == str(runs / "one"))
    assert (one["changed"], one["missing"]) == (["result.json"], ["network.json"])
    checksums.seal(runs / "one", checksums.missing(runs / "one"))
    assert run(["runs", str(runs), "--check"]) == 1
    assert capsys.readouterr().err == f"bneck: {gone}\n"


def test_a_lock_is_broken_by_name(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "one" / "ended.json").unlink()
    (runs / "one" / "result.json").unlink()
    records.write(runs / "one" / LEASE, Driver("box/boot", 7, "1", "2026-11-26T10:00:00", "ab"))
    now = time.time()
    os.utime(runs / "one" / LEASE, (now, now))
    assert run(["runs", str(runs / "one")]) == 0
    assert "running" in capsys.readouterr().out
    assert run(["runs", str(runs / "one"), "--break-lock"]) == 0
    out, err = capsys.readouterr()
    assert "was held by process 7 on box, since 2026-11-26T10:00:00" in err
    assert "stopped" in out
    assert read_driver(runs / "one") is None


def test_runs_are_listed(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "runs", tmp_path / "moved")
    bad = tmp_path / "moved" / "bad"
    bad.mkdir()
    (bad / "plan.toml").write_text("target = ")
    code, out, err = said(capsys, "runs", tmp_path / "moved", "--json")
    assert code == 0, err
    listed = {Path(one["folder"]).name: one for one in json.loads(out)["runs"]}
    assert listed["done"]["state"] == "finished"
    assert listed["done"]["best"] == "91.0 % at 0.180 ms measured"
    assert listed["begun"]["state"] == "stopped"
    assert listed["begun"]["best"] == "no network yet"
    assert listed["begun"]["age_s"] >= 0
    assert listed["bad"]["state"] == "unreadable"
    assert "not valid TOML" in listed["bad"]["problem"]
    code, out, _ = said(capsys, "runs", tmp_path / "moved")
    assert len(out.splitlines()) == 4
    problem = listed["bad"]["problem"]  # long, at the end of its line: it widens no column
    (line,) = (line for line in out.splitlines() if line.endswith(f"  {problem}"))
    before = len(line) - len(problem)
    assert all(len(other) < before for other in out.splitlines() if other != line)
    code, _, err = said(capsys, "runs", folder / "net.onnx")
    assert code == 2
    assert "is a file, not a folder" in err


def test_runs_of_one_stage_are_listed_with_its_network(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    network = folder / "runs" / "done" / "network.json"
    arch = networks.load(network)
    found = Shrunk(
        0.2, arch, 3, Latency(0.19), Latency(0.181, 0.01), Accuracy(0.9, 0.02), met=False
    )
    with Run.open(tmp_path / "shrunk", {"data": "digits", "target": "0.2"}) as shrunk:
        records.append(shrunk.shrunk, found)
        shutil.copy(network, shrunk.network)
    with Run.open(
        tmp_path / "trained", {"data": "digits", "seed_network": "mobilenet_v2"}
    ) as trained:
        trained.checkpoints.mkdir()
        records.write(
            trained.checkpoints / "network.json", Training("network", Accuracy(0.85, 0.02), 9.0)
        )
        shutil.copy(network, trained.network)
    code, out, err = said(capsys, "runs", tmp_path, "--json")
    assert code == 0, err
    best = {Path(one["folder"]).name: one["best"] for one in json.loads(out)["runs"]}
    shrunk_best = "90.0 % at 0.181 ms measured, after the step's fine-tuning"
    assert best == {"shrunk": shrunk_best, "trained": "85.0 %"}
    shutil.copy(folder / "net.onnx", shrunk.onnx)
    trained.onnx.write_bytes(shrunk.onnx.read_bytes()[:999])  # its weights may be whole
    compared = comparison.load([str(shrunk.folder), str(trained.folder)])
    assert [one.accuracy for one in compared] == [Accuracy(0.9, 0.02), Accuracy(0.85, 0.02)]
    shutil.copy(shrunk.onnx, trained.onnx)
    shutil.rmtree(trained.checkpoints)  # as in a copy of it
    (_, copied) = comparison.load([str(shrunk.folder), str(trained.folder)])
    assert copied.accuracy == Accuracy(0.91)
