"""What a session notes and hands on, and says of files that others changed or removed."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bneck import records
from bneck.derivation.execution import Execution
from bneck.derivation.plan import Plan
from bneck.derivation.session import Session, open_session
from bneck.derivation.target import keep_targets
from bneck.errors import BneckError, UsageError
from bneck.executors.serial import Serial
from bneck.latency.devices import open_device
from bneck.latency.model import load
from bneck.results.checksums import seal
from bneck.results.run import Run
from bneck.space import presets
from tests.derivation.begun_run import assert_goes_on


def test_a_stage_that_is_broken_off_adds_its_time_to_that_of_earlier_sessions(
    tmp_path: Path,
) -> None:
    session = Session(Run(tmp_path, {}), Plan(), Serial(), Serial())
    session.note_seconds("search", 100.0)
    session.note_seconds("calibration", 7.0)

    def broken_off() -> None:
        with session.timed("search"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    spent = session.run.read_seconds()
    assert (spent["search"] > 100, spent["calibration"]) == (True, 7.0)


def test_what_failed_first_is_told_where_the_time_cannot_be_written_either(tmp_path: Path) -> None:
    """On a full disk neither can."""
    session = Session(Run(tmp_path, {}), Plan(), Serial(), Serial())
    session.run.seconds.mkdir()  # no file can take its place

    def full(error: Exception | None) -> None:
        with session.timed("search"):
            if error is not None:
                raise error

    with pytest.raises(BneckError, match=r"cannot write journal\.log"):
        full(BneckError("cannot write journal.log: No space left on device"))
    with pytest.raises(BneckError, match=r"cannot write .*seconds\.json"):
        full(None)


def test_minutes_to_wait_for_a_quiet_device_reach_the_stages(tmp_path: Path) -> None:
    execution = Execution(workers=1, wait_quiet=0.5)
    with open_session(Plan(target="1.0"), tmp_path / "run", execution) as session:
        assert session.wait_quiet == 0.5


def test_the_target_device_is_opened_once_for_all_sessions_on_a_run(tmp_path: Path) -> None:
    """A board would be connected to, and a table read, for each of five stages."""
    plan = Plan(target="1", runtime="macs", threads=2)
    session = Session(Run(tmp_path, {}), plan, Serial(), Serial())
    of_target = replace(session, run=Run(tmp_path / "targets" / "1ms", {}))
    device = session.target_device()
    assert device is session.target_device() is of_target.target_device()
    assert device.fingerprint() == open_device(runtime="macs", threads=2).fingerprint()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"from_scratch": True}, "--from-scratch has no effect without --pretrained"),
        (
            {"seed_network": "mobilenet_v3_small", "epochs": 8.0},
            "--epochs has no effect without --finish",
        ),
    ],
)
def test_a_run_that_was_begun_with_an_option_without_effect_goes_on(
    tmp_path: Path, asked: dict[str, Any], said: str
) -> None:
    """The version that began it passed over the option; leaving it out would train again."""
    plan, alone = Plan(target="1", runtime="macs", **asked), Execution(workers=1)
    Run.open(tmp_path / "run", plan.as_dict()).close()
    with open_session(plan, tmp_path / "run", alone) as session:
        assert session.plan == plan
    with (
        pytest.raises(UsageError, match=said),
        open_session(plan, tmp_path / "new", alone),
    ):
        pass


def test_only_what_others_changed_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not what the next command itself writes and moves, as where a plan is changed."""
    plan, workers = Plan(target="1.0", evaluations=2), Execution(workers=1)

    def warned_by(evaluations: int) -> list[str]:
        with open_session(replace(plan, evaluations=evaluations), tmp_path / "run", workers):
            pass
        lines = capsys.readouterr().err.splitlines()
        return [line for line in lines if "was changed since" in line]

    assert warned_by(2) == []
    records.write(tmp_path / "run" / "seed.json", presets.build("mobilenet_v3_small"))
    seal(tmp_path / "run")
    assert warned_by(2) == []
    assert warned_by(3) == []
    assert not (tmp_path / "run" / "seed.json").exists()  # it is superseded
    (tmp_path / "run" / "target.json").write_text('{"target_ms": 1.0}')
    assert warned_by(3) == [
        f"warning: {tmp_path}/run/target.json was changed since the run's last command ended"
    ]


def test_a_removed_file_stays_named_until_it_is_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = tmp_path / "run", tmp_path / "run" / "weights.safetensors"

    def opened_again() -> list[str]:
        with open_session(Plan(target="1.0", evaluations=2), run, Execution(workers=1)):
            pass
        lines = capsys.readouterr().err.splitlines()
        return [line for line in lines if file.name in line]

    assert opened_again() == []
    file.write_bytes(b"weights")
    seal(run)
    file.unlink()
    said = f"warning: {file} is missing: it was removed since the run's last command ended"
    assert opened_again() == opened_again() == [said]
    file.write_bytes(b"weights")
    assert opened_again() == []


def test_a_removed_file_that_no_command_makes_again_is_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a target that is left out, or of what an earlier change replaced."""
    folder, asked = tmp_path / "run", Plan(evaluations=2, targets="2.0,1.0")
    with open_session(asked, folder, Execution(workers=1)) as session:
        keep_targets(session.run, [2.0, 1.0])
        for name in ("targets/1ms/network.json", "superseded/1/result.json", "weights.safetensors"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("{}")
    for name in ("targets", "superseded"):
        shutil.rmtree(folder / name)
    (folder / "weights.safetensors").unlink()
    capsys.readouterr()

    def missing() -> list[str]:
        with open_session(replace(asked, targets="2.0"), folder, Execution(workers=1)):
            pass
        return re.findall(rf"warning: {folder}/(\S+) is missing", capsys.readouterr().err)

    every = ["superseded/1/result.json", "targets/1ms/network.json", "weights.safetensors"]
    assert (missing(), missing()) == (every, ["weights.safetensors"])


def test_a_run_with_a_latency_model_is_opened_after_an_upgrade_of_the_runtime(
    digits_latency: Path, tmp_path: Path
) -> None:
    """It may be finished, and its command repeated for its results; a new run is refused."""
    model = load(digits_latency)
    older = tmp_path / "older.json"
    replace(model, device=replace(model.device, version="0")).save(older)
    plan = Plan(target="1", runtime="macs", latency=str(older))
    assert_goes_on(plan, tmp_path, "calibrated with macs 0, and local has 1")


def test_a_training_of_a_network_that_was_begun_with_a_space_goes_on(tmp_path: Path) -> None:
    """Earlier versions passed over the space, which is refused for new runs."""
    plan = Plan(seed_network="mobilenet_v2", space="mnasnet")
    assert_goes_on(plan, tmp_path, "--space has no effect with NET")
