"""A changed mind on the same folder: what is reused, what is done anew, what is refused."""

import json
import re
import shutil
from pathlib import Path

import pytest

from bneck import records
from bneck.cli import run
from bneck.results.classification import Classification
from bneck.results.record import Outcome, Step
from bneck.results.run import Run
from bneck.results.stage_record import SearchResult
from tests.derivation.quick_search import ONE, SEARCH, TWO, derive, trials


@pytest.mark.slow
def test_changes_reuse_what_they_leave_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert derive(out) == 0
    latency, steps = (out / "latency.json").read_bytes(), (out / "steps.jsonl").read_bytes()
    first = records.read(out / "result.json", Outcome)
    searched = trials(out)
    capsys.readouterr()

    assert derive(out, epochs=0.2) == 0
    said = capsys.readouterr().err
    assert "--epochs was 0.1, now 0.2: reusing the calibration, the search and NetAdapt's" in said
    assert (out / "steps.jsonl").read_bytes() == steps
    assert trials(out) == searched
    longer = records.read(out / "result.json", Outcome)
    assert longer.arch == first.arch
    assert records.read(out / "superseded/1/result.json", Outcome) == first
    weights = [
        (place / "weights.safetensors").read_bytes() for place in (out, out / "superseded/1")
    ]
    assert weights[0] != weights[1]  # so few steps may leave two networks equally accurate
    assert records.read(out / "classification.json", Classification).accuracy == longer.accuracy

    assert derive(out, epochs=0.2, evaluations=4) == 0
    assert "reusing the calibration and the networks evaluated so far" in capsys.readouterr().err
    assert len(trials(out)) > len(searched)
    assert trials(out)[: len(searched)] == searched
    (selected,) = records.read(out / "winners.json", SearchResult).networks

    assert derive(out, epochs=0.2, evaluations=4, target=None, targets=TWO) == 0
    kept, added = records.read(out / "winners.json", SearchResult).networks
    assert kept == selected
    assert added.target_ms == pytest.approx(kept.target_ms * 0.8 / 0.85, rel=1e-3)
    inner = Run.read(out / "targets" / f"{added.target_ms:.4g}ms")
    assert inner.read_state() == Run.read(out).read_state() == "finished"

    # A longer final training reaches the derivations inside the run too.
    inner_steps = records.read_lines(inner.steps, Step)
    assert derive(out, epochs=0.3, evaluations=4, target=None, targets=TWO) == 0
    assert records.read_lines(inner.steps, Step) == inner_steps
    assert json.loads((inner.folder / "result.json").read_text())["accuracy"] is not None
    assert (out / "latency.json").read_bytes() == latency


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search."""
    out = tmp_path_factory.mktemp("searched") / "run"
    assert run(["search", f"--target={ONE}", *SEARCH, f"--out={out}"]) == 0
    return out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"evaluations": 1}, "--evaluations was 2, now 1"),
        ({"target": "0.5"}, f"--target was {ONE}, now 0.5"),
        ({"seed": 1}, "--seed was 0, now 1"),
        ({"runtime": "onnxruntime"}, "--runtime was macs, now onnxruntime"),
    ],
)
def test_what_needs_a_run_of_its_own_is_refused(
    change: dict[str, object], words: str, searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in searched.iterdir())
    assert derive(searched, **change) == 2
    said = capsys.readouterr().err
    assert words in said
    reused = "another --out, and --latency" in said
    assert reused == ("runtime" not in change)  # the calibration holds for the same device only
    assert sorted(path.name for path in searched.iterdir()) == before


def everything_in(folder: Path) -> dict[Path, bytes]:
    """But what says when something was begun and how long it took."""
    left_out = ("made_with.jsonl", "seconds.json", "measured.jsonl", "checksums.json")
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in left_out)
    return {path: path.read_bytes() for path in files}


def test_a_mistake_in_another_plan_changes_nothing(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the run could be continued with the mistake alone: no target can be taken away."""
    out = shutil.copytree(searched, tmp_path / "run")
    before = everything_in(out)
    command = ["search", *SEARCH, f"--out={out}"]
    assert run([*command, f"--targets={ONE},0.0001"]) == 2
    assert "is predicted under 0.000125 ms" in capsys.readouterr().err
    assert everything_in(out) == before
    assert run([*command, f"--targets={TWO}"]) == 0
    assert len(json.loads((out / "target.json").read_text())["targets_ms"]) == 2


def test_a_further_target_that_gets_no_network_is_refused_and_gets_one_by_more_evaluations(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both networks are for 0.85 to 1.06 x, and none is as slow as the further target."""
    out = shutil.copytree(searched, tmp_path / "run")
    (known,) = records.read(out / "winners.json", SearchResult).networks
    command = ["search", f"--targets={ONE},1.2x:mobilenet_v3_small", *SEARCH, f"--out={out}"]
    for _ in range(2):
        assert run(command) == 2
        (error,) = [line for line in capsys.readouterr().err.splitlines() if "none of" in line]
        refused = r"bneck: none of the 2 networks that the search scored is predicted from "
        assert re.fullmatch(refused + r"\S+ to \S+ ms; give more --evaluations", error)
    assert records.read(out / "winners.json", SearchResult).networks == (known,)
    assert run([*command, "--evaluations=4"]) == 0
    kept, added = records.read(out / "winners.json", SearchResult).networks
    assert kept == known
    assert added.target_ms <= added.measured.ms <= 1.25 * added.target_ms


def test_a_further_target_may_be_left_out_again(searched: Path, tmp_path: Path) -> None:
    """NetAdapt may not meet it, however often it measures; then another may take its place."""
    out = shutil.copytree(searched, tmp_path / "run")
    (known,) = records.read(out / "winners.json", SearchResult).networks
    for share in (0.8, None, 0.83):
        further = "" if share is None else f",{share}x:mobilenet_v3_small"
        asked = f"--target{'s' * bool(further)}={ONE}{further}"
        assert run(["search", asked, *SEARCH, f"--out={out}"]) == 0
        targets_ms = json.loads((out / "target.json").read_text())["targets_ms"]
        shares = [1.0] if share is None else [1.0, share / 0.85]
        assert targets_ms == pytest.approx([known.target_ms * one for one in shares], rel=1e-3)
        networks = records.read(out / "winners.json", SearchResult).networks
        assert networks[0] == known
        assert [one.target_ms for one in networks] == targets_ms
        names = {f"{one:.4g}ms.json" for one in targets_ms}
        assert {file.name for file in out.glob("targets/*")} == names


@pytest.mark.slow
def test_promotion_continues_a_finished_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["search", f"--target={ONE}", f"--out={out}", *SEARCH]
    assert run(command) == 0
    before = trials(out)
    capsys.readouterr()
    stopped = out / "checkpoints" / "search" / "of-a-training-that-a-time-limit-ended.checkpoint"
    stopped.parent.mkdir(parents=True)
    stopped.touch()
    assert run([*command, "--promote"]) == 0
    assert not stopped.parent.exists()
    assert "reusing the calibration and the networks evaluated so far" in capsys.readouterr().err
    assert trials(out)[: len(before)] == before
    assert len(trials(out)) == len(before) + 2 + 2  # both networks on both further rungs
    assert run(command) == 2
    assert "--promote was True, now False" in capsys.readouterr().err
