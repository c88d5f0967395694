"""What a run's folder may not hold: links, pipes, and what is not of a run."""

import os
import socket
from pathlib import Path

import pytest

from bneck import records
from bneck.errors import BneckError, UsageError
from bneck.results.record import Step
from bneck.results.run import Run
from tests.command_line import said
from tests.results.plans import PLAN


def test_folders_that_are_not_runs(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(UsageError, match=r"photos is not a run's folder: it has no plan.toml"):
        Run.read(tmp_path / "photos")
    (tmp_path / "model.onnx").touch()
    with pytest.raises(UsageError, match=r"model.onnx is not a run's folder: it is a file$"):
        Run.read(tmp_path / "model.onnx")
    with pytest.raises(UsageError, match=r"absent is not a run's folder: there is no such folder$"):
        Run.read(tmp_path / "absent")
    with pytest.raises(UsageError, match=r"no plan.toml but 'cat.jpg'; name a new or an empty"):
        Run.open(tmp_path / "photos", PLAN)
    Run.open(tmp_path / "run", PLAN).close()
    with pytest.raises(UsageError, match=f"folder: it is a file of the run {tmp_path / 'run'}$"):
        Run.read(tmp_path / "run" / "plan.toml")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]
    with pytest.raises(UsageError, match=r"cat.jpg is not a folder"):
        Run.open(tmp_path / "photos" / "cat.jpg", PLAN)


@pytest.mark.parametrize("target", ["../precious.txt", "../folder"])
def test_a_run_does_not_write_through_links(tmp_path: Path, target: str) -> None:
    """Somebody else's run may name any file of ours."""
    (tmp_path / "precious.txt").write_text("precious")
    (tmp_path / "folder").mkdir()
    Run.open(tmp_path / "run", PLAN).close()
    (tmp_path / "run" / "checkpoints").mkdir()
    for link in (tmp_path / "run" / "steps.jsonl", tmp_path / "run" / "checkpoints" / "seed.json"):
        link.symlink_to(Path("..", target) if link.parent.name == "checkpoints" else target)
        with pytest.raises(UsageError, match=f"{link} is a symbolic link"):
            Run.open(tmp_path / "run", PLAN)
        link.unlink()
    assert (tmp_path / "precious.txt").read_text() == "precious"


@pytest.mark.parametrize(
    "command",
    [
        ("report",), ("show",), ("runs",), ("runs", "--check"), ("runs", "--break-lock"),
        ("compare", "mobilenet_v2", "--no-measure"), ("evaluate",), ("predict", "image.png"),
        ("export", "x.onnx"), ("likeness", "--latency=macs"),
        ("train", "mobilenet_v2", "--data=digits", "--out"),
    ],
    ids=" ".join,
)  # fmt: skip
@pytest.mark.parametrize("name", [".lock", ".driver", "checksums.json", "network.json"])
def test_a_pipe_in_somebody_elses_run_is_named_and_not_waited_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("image.png").touch()
    Run.open(Path("theirs"), {"data": "digits", "seed": 0}).close()
    Path("theirs", name).unlink(missing_ok=True)
    os.mkfifo(Path("theirs", name))
    word, *rest = command
    given = [*rest, "theirs"] if word == "train" else ["theirs", *rest]
    code, out, err = said(capsys, word, *given)
    message = f"theirs/{name} is neither a file nor a folder, and has no place in a run"
    if command in (("runs",), ("runs", "--check")):
        assert (code, err) == (0, "")
        assert message in out
    else:
        assert (code, out, err) == (2, "", f"bneck: {message}\n")


def test_a_socket_is_no_file_of_a_run_and_a_link_is_read_through(tmp_path: Path) -> None:
    Run.open(tmp_path / "run", PLAN).close()
    (tmp_path / "elsewhere.json").write_text("{}")
    (tmp_path / "run" / "network.json").symlink_to("../elsewhere.json")
    (tmp_path / "run" / "seed.json").symlink_to("nowhere.json")
    assert Run.read(tmp_path / "run").network.read_text() == "{}"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "run" / "steps.jsonl"))
        with pytest.raises(UsageError, match=r"steps\.jsonl is neither a file nor a folder"):
            Run.read(tmp_path / "run")


def test_records_are_not_appended_through_a_link(tmp_path: Path, step: Step) -> None:
    (tmp_path / "precious.txt").write_text("precious")
    (tmp_path / "steps.jsonl").symlink_to("precious.txt")
    with pytest.raises(BneckError, match=r"cannot write .*steps.jsonl"):
        records.append(tmp_path / "steps.jsonl", step)
    assert (tmp_path / "precious.txt").read_text() == "precious"


def test_the_umask_is_respected(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        Run.open(tmp_path / "run", PLAN).close()
    finally:
        os.umask(before)
    for file in (tmp_path / "run").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
