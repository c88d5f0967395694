"""A run is opened, refused, locked, moved and resumed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from errno import ENAMETOOLONG
from pathlib import Path
from typing import IO

import pytest

from bneck import records
from bneck.errors import BneckError, UsageError
from bneck.results import metadata
from bneck.results.record import Outcome, Step
from bneck.results.run import Run
from tests.results.plans import PLAN

DRIVER = """
import os, sys, time
from pathlib import Path
from bneck.results.run import Run
run = Run.open(Path(sys.argv[1]), {"target": 2.0})
if os.fork() == 0:
    time.sleep(600)  # a worker that outlives its driver
print("open", flush=True)
time.sleep(600)
"""


@pytest.fixture
def driven(tmp_path: Path) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    """A run's folder that another process holds, and that process, the head of its own group."""
    folder = tmp_path / "driven"
    command = [sys.executable, "-c", DRIVER, str(folder)]
    driver = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=Path.cwd()
    )
    stdout: IO[str] | None = driver.stdout
    assert stdout is not None
    try:
        assert stdout.readline() == "open\n"
        yield folder, driver
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
        stdout.close()


def test_a_new_run_explains_itself(tmp_path: Path) -> None:
    with Run.open(tmp_path / "run", PLAN, command="bneck derive --target 2.0") as run:
        assert run.read_state() == "running"
    again = Run.read(tmp_path / "run")
    assert again.plan == PLAN
    assert again.read_state() == "stopped"
    (session,) = again.read_sessions()
    assert session.command == "bneck derive --target 2.0"
    assert session.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert session.cores >= 1


def test_the_same_plan_resumes(tmp_path: Path) -> None:
    for _ in range(2):
        with Run.open(tmp_path, PLAN) as run:
            pass
    assert len(run.read_sessions()) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": 1.5}, "--target was 2.0, now 1.5; use another --out or the same plan"),
        (
            {"seed": 1, "space": "mnasnet"},
            "--space was v3-small, now mnasnet, --seed was 0, now 1; "
            "use another --out or the same plan",
        ),
        ({"seed_factor": 1.2}, "--seed-factor was not given, now 1.2; use another --out or"),
        ({"target": float("nan")}, "--target must be a finite number, got nan"),
    ],
)
def test_another_plan_is_refused(tmp_path: Path, change: dict[str, float], message: str) -> None:
    Run.open(tmp_path, PLAN).close()
    with pytest.raises(UsageError) as caught:
        Run.open(tmp_path, {**PLAN, **change})
    assert str(caught.value).startswith(message)
    assert Run.read(tmp_path).read_state() == "stopped"


def test_a_run_of_another_command_is_told_in_few_words(tmp_path: Path) -> None:
    Run.open(tmp_path, PLAN, command="bneck search --target 2.0").close()
    other = {**PLAN, "seed": 1, "delta": 0.01}
    with pytest.raises(UsageError) as caught:
        Run.open(tmp_path, other, command="bneck.derive(target=2.0)")
    assert str(caught.value) == (
        f"{tmp_path} holds a run of `bneck search`, not of `bneck derive`; use another --out"
    )
    for same in ("bneck search --seed 1", "python my_search.py"):
        with pytest.raises(UsageError, match="--seed was 0, now 1"):
            Run.open(tmp_path, other, command=same)


def test_a_run_of_a_script_is_told_in_few_words(tmp_path: Path) -> None:
    Run.open(tmp_path, PLAN, command="my_search.py --quick").close()
    other = {**PLAN, "seed": 1, "delta": 0.01}
    with pytest.raises(UsageError) as caught:
        Run.open(tmp_path, other, command="bneck derive --target 2.0")
    assert str(caught.value) == (
        f"{tmp_path} holds a run of `my_search.py --quick`, not of `bneck derive`; "
        "use another --out"
    )
    Run.open(tmp_path, PLAN, command="bneck derive --target 2.0").close()  # the same plan


def test_the_module_is_the_command(tmp_path: Path) -> None:
    """As from ``python -m bneck.cli derive``, which the command line then resumes."""
    Run.open(tmp_path, PLAN, command="cli.py derive --target 2.0").close()
    with pytest.raises(UsageError, match="--seed was 0, now 1"):
        Run.open(tmp_path, {**PLAN, "seed": 1}, command="bneck derive --seed 1")


def failed(error: Exception, folder: Path, plan: dict[str, float], file: str) -> None:
    with Run.open(folder, plan) as run:
        (run.folder / file).touch()
        raise error


def test_what_was_copied_into_a_run_is_no_work(tmp_path: Path) -> None:
    """Unlike the same file where it was made there: it may have taken minutes."""

    def failed_with_a_copy() -> None:
        with Run.open(tmp_path / "run", PLAN) as run:
            run.latency.touch()
            run.note_copied(run.latency)
            raise UsageError("a mistake")

    with pytest.raises(UsageError, match="a mistake"):
        failed_with_a_copy()
    assert not (tmp_path / "run").exists()


def test_a_mistake_begins_no_run(tmp_path: Path) -> None:
    """Put right, it is not refused as another plan; what has begun to cost time is kept."""
    with pytest.raises(UsageError, match="a mistake"):
        failed(UsageError("a mistake"), tmp_path, {"target": 3.0}, "images.json")
    with pytest.raises(BneckError, match="no download"):
        failed(BneckError("no download"), tmp_path, {"target": 4.0}, "images.json")
    with pytest.raises(OSError, match="File name too long"):  # of a kit's folder, say
        failed(OSError(ENAMETOOLONG, "File name too long"), tmp_path, {"target": 5.0}, "seed.json")
    with pytest.raises(UsageError, match="a mistake"):
        failed(UsageError("a mistake"), tmp_path, {"target": 1.0}, "latency.json")
    with pytest.raises(UsageError, match=r"--target was 1.0, now 2.0"):
        Run.open(tmp_path, {"target": 2.0})


def test_a_mistake_begins_no_run_though_somebody_looked_at_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a mistake"):
        failed(UsageError("a mistake"), tmp_path / "run", PLAN, "report.html")
    assert not (tmp_path / "run").exists()


def test_what_an_earlier_version_did_not_ask_stands_at_its_default(tmp_path: Path) -> None:
    Run.open(tmp_path, {"target": 2.0}).close()
    defaults = {"proxy": "short", "batch": 2}
    Run.open(tmp_path, {"target": 2.0, "proxy": "short"}, defaults=defaults).close()
    with pytest.raises(UsageError, match="--proxy was short, now zen"):
        Run.open(tmp_path, {"target": 2.0, "proxy": "zen"}, defaults=defaults)


def test_a_second_driver_is_refused(driven: tuple[Path, "subprocess.Popen[str]"]) -> None:
    folder, _ = driven
    with pytest.raises(UsageError, match=r"at work in .*driven: process \d+ on .*; wait for"):
        Run.open(folder, {"target": 2.0})
    assert Run.read(folder).read_state() == "running"


def test_the_lock_dies_with_the_driver(driven: tuple[Path, "subprocess.Popen[str]"]) -> None:
    """Though a worker that it forked lives on."""
    folder, driver = driven
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    # The worker lets go of its copy of the lock as its first act, which may still be to come.
    deadline = time.monotonic() + 60
    while Run.read(folder).read_state() == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert Run.read(folder).read_state() == "stopped"
    Run.open(folder, {"target": 2.0}).close()


def test_two_drivers_in_one_process(tmp_path: Path) -> None:
    with Run.open(tmp_path, PLAN), pytest.raises(UsageError, match="another process is at work"):
        Run.open(tmp_path, PLAN)


def test_a_moved_run_still_opens(tmp_path: Path, step: Step, outcome: Outcome) -> None:
    with Run.open(tmp_path / "here", PLAN, command="bneck derive") as run:
        records.append(run.steps, step)
        records.write(run.result, outcome)
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = Run.read(tmp_path / "there")
    assert moved.read_state() == "finished"
    assert records.read_lines(moved.steps, Step) == (step,)
    assert records.read(moved.result, Outcome) == outcome
    Run.open(tmp_path / "there", PLAN, command="bneck derive").close()
    assert str(tmp_path) not in "".join(p.read_text() for p in (tmp_path / "there").iterdir())


def test_a_run_is_the_same_to_those_who_made_it_and_who_look_at_it(tmp_path: Path) -> None:
    """What it settles meanwhile, such as --parallel, nobody asked."""
    with Run.open(tmp_path / "one", PLAN, command="bneck derive") as run:
        made = metadata.identity(run)
        run.settle("parallel", 4)
    shutil.move(tmp_path / "one", tmp_path / "there")
    assert metadata.identity(Run.read(tmp_path / "there")) == made
    with Run.open(tmp_path / "other", {**PLAN, "seed": 1}, command="bneck derive") as other:
        assert metadata.identity(other) != made


def test_what_a_run_settled_stays_where_its_plan_changes(tmp_path: Path) -> None:
    """Labels of other folds would not compare with those that there are."""
    with Run.open(tmp_path, PLAN) as run:
        run.settle("folds", 5)
    with Run.open(tmp_path, {**PLAN, "target": 1.5}, change=lambda *_: None):
        pass
    again = Run.read(tmp_path)
    assert (again.settled("folds"), again.plan["target"]) == (5, 1.5)


def test_a_start_killed_before_the_plan_was_written(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".plan.toml.x1").touch()
    Run.open(tmp_path, PLAN).close()
    assert Run.read(tmp_path).plan == PLAN


def test_what_a_killed_write_left_is_removed(tmp_path: Path) -> None:
    """The half-written file of a process that dies, of which a training leaves one each time."""
    Run.open(tmp_path, PLAN).close()
    killed = "import os; from pathlib import Path; from bneck.files import write_with\n"
    killed += "write_with(Path(os.sys.argv[1]), lambda file: os.kill(os.getpid(), 9))"
    file = tmp_path / "checkpoints" / "network.checkpoint"
    assert subprocess.run([sys.executable, "-c", killed, str(file)]).returncode == -signal.SIGKILL
    (left,) = file.parent.iterdir()
    assert left != file
    Run.open(tmp_path, PLAN).close()
    assert list(file.parent.iterdir()) == []


def test_a_place_that_cannot_be_written() -> None:
    with pytest.raises(BneckError, match="cannot write /proc/bneck"):
        Run.open(Path("/proc/bneck"), PLAN)


def test_an_empty_plan_of_an_older_version_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").touch()
    Run.open(tmp_path, PLAN).close()
    assert Run.read(tmp_path).plan == PLAN


@pytest.mark.parametrize("content", ["5", "[]", "[[1]]", '"s"', '{"search": "x"}', '{"a": NaN}'])
def test_seconds_that_make_no_sense_are_refused(tmp_path: Path, content: str) -> None:
    run = Run(tmp_path, {})
    assert run.read_seconds() == {}
    run.seconds.write_text(content)
    with pytest.raises(UsageError, match=rf"^{run.seconds}: "):
        run.read_seconds()
    run.seconds.write_text('{"search": 1.5}')
    assert run.read_seconds() == {"search": 1.5}


@pytest.mark.parametrize("change", [{}, {"data": "folder:a\udcff"}])
def test_names_that_no_file_of_text_can_hold_are_refused(
    tmp_path: Path, change: dict[str, str]
) -> None:
    folder = tmp_path / ("run" if change else "run\udcff")
    with pytest.raises(UsageError, match="is not a name in UTF-8: give it another one"):
        Run.open(folder, {**PLAN, **change})
    assert not folder.exists()
