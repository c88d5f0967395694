"""A mistake takes a change of plan back, as long as no work was done by it."""

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bneck import cli, records
from bneck.derivation.plan import Plan
from bneck.derivation.session import open_run
from bneck.errors import BneckError, UsageError
from bneck.progress import silent
from bneck.proxies.proxy import ELASTIC
from bneck.results.plan_change import PlanChange
from bneck.results.record import Outcome, Targets
from bneck.results.run import Run
from bneck.results.run_files import SHOWN


def change(folder: Path, plan: Plan, work: str, error: BaseException | None = None) -> None:
    """Open a run with a plan, write a file, and end with an error."""
    with suppress(BneckError, KeyboardInterrupt), open_run(plan, folder, silent) as opened:
        if work:
            (opened.folder / work).parent.mkdir(exist_ok=True)
            (opened.folder / work).write_text("work")
        if error is not None:
            raise error


@pytest.mark.parametrize(
    ("error", "work", "kept"),
    [
        (UsageError("a mistake"), "", 1.0),
        (UsageError("a mistake"), "images.json", 1.0),
        (UsageError("a mistake"), "checkpoints/derived.checkpoint", 2.0),
        (UsageError("a mistake"), "journal.log", 2.0),
        (KeyboardInterrupt(), "", 1.0),
        (KeyboardInterrupt(), "journal.log", 2.0),
        (BneckError("a failure"), "", 2.0),
        (None, "", 2.0),
    ],
)
def test_a_change_of_plan_stands_once_work_was_done_by_it(
    tmp_path: Path, error: BaseException | None, work: str, kept: float
) -> None:
    short = Plan(target="1.0", epochs=1.0)
    change(tmp_path, short, "result.json")
    change(tmp_path, short, "checkpoints/derived.json")
    change(tmp_path, replace(short, epochs=2.0), work, error)
    assert Run.read(tmp_path).plan["epochs"] == kept
    back = kept == 1.0
    assert (tmp_path / "result.json").exists() == back
    assert (tmp_path / "checkpoints/derived.json").exists() == back
    assert (tmp_path / "superseded").exists() != back


@pytest.mark.parametrize("work", ["", "targets/2ms/steps.jsonl"])
@pytest.mark.parametrize("killed", [False, True])
def test_a_change_is_taken_back_in_the_runs_of_other_targets_too(
    tmp_path: Path, work: str, killed: bool
) -> None:
    """The command opens them by the new plan; killed, it takes nothing back in any."""
    short = Plan(targets="1.0,2.0", epochs=1.0)
    of_other = replace(short, targets=None, target="2.0")
    inner = tmp_path / "targets" / "2ms"
    change(tmp_path, short, "result.json")
    change(inner, of_other, "result.json")
    (tmp_path / "ended.json").write_text("{}")

    with suppress(UsageError), open_run(replace(short, epochs=2.0), tmp_path, silent) as opened:
        (tmp_path / "ended.json").unlink(missing_ok=True)
        with suppress(UsageError), open_run(replace(of_other, epochs=2.0), inner, silent) as own:
            if work:
                (tmp_path / work).write_text("work")
            if not killed:
                raise UsageError("a mistake")
        if not killed:
            raise UsageError("a mistake")
    assert own.plan["epochs"] == opened.plan["epochs"] == 2.0
    if killed:
        with suppress(UsageError), open_run(short, tmp_path, silent):
            pass
    back = not work
    for folder in (tmp_path, inner):
        assert (folder / "result.json").exists() == back
        if back:
            assert Run.read(folder).plan["epochs"] == 1.0


@pytest.mark.parametrize("work", ["", "journal.log", "model.onnx", "weights.safetensors", ELASTIC])
def test_a_change_is_taken_back_after_a_kill_unless_work_was_done_by_it(
    tmp_path: Path, work: str
) -> None:
    """Else a further target by mistake could not be taken away again."""
    right, wrong = Plan(target="1.0"), Plan(targets="1.0,0.0001", evaluations=48)
    change(tmp_path, right, "result.json")
    records.write(tmp_path / "target.json", Targets(1.0, (1.0,)))
    killed = open_run(wrong, tmp_path, silent)
    records.write(killed.target, Targets(1.0, (1.0, 0.0001)))
    if work:
        (tmp_path / work).write_text("work")
    killed.close()  # and nothing else is done at the end
    assert not (tmp_path / "result.json").exists()

    if work:
        with pytest.raises(UsageError, match=r"--targets was 1\.0,0\.0001, now not given"):
            open_run(right, tmp_path, silent)
        return
    change(tmp_path, right, "")
    assert Run.read(tmp_path).plan["target"] == "1.0"
    assert records.read(tmp_path / "target.json", Targets).all_ms == (1.0,)
    assert (tmp_path / "result.json").read_text() == "work"
    assert not (tmp_path / "superseded").exists()


@pytest.mark.parametrize(
    "file",
    [
        *SHOWN,
        "pictures/search.svg",
        "targets/0.5ms/report.html",
        ".DS_Store",
        "photos.onnx",
        "photos.pt",
        "photos.ops.yaml",
        "photos.py",
        "photos.safetensors",
        "targets/0.5ms/a.tflite",
    ],
)
def test_to_look_at_a_run_is_no_work(tmp_path: Path, file: str) -> None:
    """Nor to export it, nor what a file manager leaves; a file was there before, or is new."""
    right, wrong = Plan(target="1.0"), Plan(targets="1.0,0.0001")
    change(tmp_path, right, "result.json")
    for text in ("before", "after"):
        killed = open_run(wrong, tmp_path, silent)
        killed.close()
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
        change(tmp_path, right, "")
        assert Run.read(tmp_path).plan["target"] == "1.0"
        assert (tmp_path / "result.json").read_text() == "work"


def test_a_report_after_a_kill_leaves_a_change_to_be_taken_back(
    tmp_path: Path, outcome: Outcome
) -> None:
    right, wrong = Plan(target="1.0"), Plan(targets="1.0,0.0001")
    change(tmp_path, right, "")
    records.write(tmp_path / "result.json", outcome)
    open_run(wrong, tmp_path, silent).close()
    assert cli.run(["report", str(tmp_path)]) == 0
    change(tmp_path, right, "")
    assert records.read(tmp_path / "result.json", Outcome) == outcome


FINAL = ("result.json", "checkpoints/derived.json", "steps.jsonl", "checkpoints/netadapt/1.json")
"""Files that a change of ``delta`` replaces."""


@pytest.fixture
def done(tmp_path: Path) -> Plan:
    """The plan of a run with all of these files."""
    plan = Plan(target="1.0", delta=0.1)
    (tmp_path / "checkpoints/netadapt").mkdir(parents=True)
    for file in ("plan.toml", *FINAL):
        (tmp_path / file).touch()
    for file in FINAL:
        change(tmp_path, plan, file)
    return plan


@pytest.mark.parametrize("moves", range(6))
def test_a_change_is_taken_back_whole_after_a_kill_in_between(
    tmp_path: Path, done: Plan, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    """What was put back already is no work by the new plan."""
    open_run(replace(done, delta=0.2), tmp_path, silent).close()
    assert not any((tmp_path / file).exists() for file in FINAL)
    left = iter([os.renames] * moves)

    def dies(old: Path, new: Path) -> None:
        next(left)(old, new)

    with monkeypatch.context() as killed, suppress(StopIteration):
        killed.setattr("bneck.results.plan_change.os.renames", dies)
        open_run(done, tmp_path, silent).close()
    change(tmp_path, done, "")
    assert all((tmp_path / file).read_text() == "work" for file in FINAL)
    assert not (tmp_path / "superseded").exists()


@pytest.mark.parametrize("moves", range(5))
def test_a_change_is_taken_back_where_a_kill_ended_it_before_it_was_made(
    tmp_path: Path, done: Plan, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    """Else trainings of hours were done again by the plan that had never been replaced."""
    left = iter([Path.rename] * moves)

    def dies(old: Path, new: Path) -> None:
        next(left)(old, new)

    with monkeypatch.context() as killed, suppress(StopIteration):
        killed.setattr(Path, "rename", dies)
        killed.setattr(PlanChange, "end", lambda *_: next(left))
        open_run(replace(done, delta=0.2), tmp_path, silent)
    change(tmp_path, done, "")
    assert all((tmp_path / file).read_text() == "work" for file in FINAL)


def test_a_folder_of_what_was_replaced_that_a_user_removed_is_not_filled_again(
    tmp_path: Path,
) -> None:
    """By the number of folders, the next change took the place of a later one."""
    plan = Plan(target="1.0")
    for number in (1, 2):
        change(tmp_path, replace(plan, epochs=float(number)), "result.json")
    change(tmp_path, replace(plan, epochs=3.0), "result.json")
    (tmp_path / "superseded/2/result.json").write_text("of two epochs")
    shutil.rmtree(tmp_path / "superseded/1")
    change(tmp_path, replace(plan, epochs=4.0), "result.json")
    assert (tmp_path / "superseded/2/result.json").read_text() == "of two epochs"
    assert (tmp_path / "superseded/3/result.json").read_text() == "work"


def test_a_plan_by_which_a_command_ended_stands_though_the_clock_was_set_back(
    tmp_path: Path,
) -> None:
    short, long = Plan(target="1.0", epochs=1.0), Plan(target="1.0", epochs=2.0)
    change(tmp_path, short, "result.json")
    change(tmp_path, long, "ended.json")
    os.utime(tmp_path / "ended.json", (0, 0))
    with pytest.raises(UsageError, match=r"--epochs was 2\.0, now 1\.0"):
        Run.open(tmp_path, short.as_dict())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "Change must be an object"),
        ('{"changed_at": {}}', "Change lacks the key 'replaced'"),
        ('{"replaced": 3, "changed_at": {}}', r"Change\.replaced must be a list, got 3"),
    ],
)
def test_a_damaged_change_is_named_by_its_file_and_field(
    tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "superseded/1/change.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    with pytest.raises(UsageError, match=rf"superseded/1/change\.json: {said}"):
        PlanChange(tmp_path).take_back()


def test_a_change_in_somebody_elses_run_moves_no_file_of_ours(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("precious")
    plan = Plan(target="1.0")
    change(tmp_path / "run", plan, "")
    change(tmp_path / "run", replace(plan, epochs=2.0), "")
    file = tmp_path / "run/superseded/1/change.json"
    file.write_text(file.read_text().replace("plan.toml", "../../../precious.txt"))
    change(tmp_path / "run", plan, "")
    assert (tmp_path / "precious.txt").read_text() == "precious"
