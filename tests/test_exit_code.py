"""What goes wrong ends in an exit code and at most one line."""

import os
import signal
import subprocess
import sys
import threading
import time
from errno import ENAMETOOLONG
from importlib import import_module
from pathlib import Path

import pytest
import torch

from bneck import live
from bneck.cli import exit_code_of
from bneck.errors import BneckError, UsageError
from tests.command_line import said


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("side must be at least 8, got 4"), 2, "bneck: side must be at least 8, got 4"),
        (BneckError("disk full"), 1, "bneck: disk full"),
        (FileNotFoundError(2, "No such file", "x"), 1, "bneck: cannot use x: No such file"),
        (OSError(ENAMETOOLONG, "Too long", "x"), 2, "bneck: cannot use x: Too long"),
        (OSError(28, "No space left"), 1, "bneck: No space left"),  # of no file in particular
        (OSError("the server is gone"), 1, "bneck: the server is gone"),
        (KeyboardInterrupt(), 130, "bneck: interrupted; run the same command to resume"),
        (BrokenPipeError(32, "Broken pipe"), 1, "bneck: Broken pipe"),  # of neither stream
        (BrokenPipeError(), 1, "bneck: BrokenPipeError"),
        (ConnectionResetError(104, "Reset by peer"), 1, "bneck: Reset by peer"),
    ],
)
def test_what_goes_wrong_in_a_script_is_at_most_one_line_and_a_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    def work() -> None:
        raise error

    assert exit_code_of(work) == code
    assert capsys.readouterr().err.splitlines() == [line] * bool(line)


def test_a_library_that_the_system_cannot_load_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torn_library.so").write_bytes(b"")
    monkeypatch.syspath_prepend(tmp_path)

    def work() -> None:
        import_module("torn_library")

    assert exit_code_of(work) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"bneck: cannot load a library: {tmp_path}/torn_library.so: file too short"


def test_a_thread_that_the_system_does_not_give_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = threading.stack_size(1 << 46)
    try:
        assert exit_code_of(threading.Thread(target=time.time).start) == 1
    finally:
        threading.stack_size(before)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bneck: can't start new thread: the system limits ")


def test_memory_that_the_system_does_not_give_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> None:
        torch.empty(1 << 50, dtype=torch.uint8)

    assert exit_code_of(work) == 1
    assert capsys.readouterr().err == "bneck: can't allocate memory: out of memory\n"


def test_a_torchvision_that_does_not_fit_torch_is_one_line() -> None:
    """Its import names operators that its own library did not bring."""
    code = (
        "import torch; from bneck.cli import exit_code_of; "
        "print(exit_code_of(lambda: torch.library.register_fake('torchvision::nms')(print)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    said = "bneck: operator torchvision::nms does not exist: torchvision is not of torch's version"
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_that_who_read_the_output_has_gone_is_not_said(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    def work() -> None:
        raise BrokenPipeError

    with open(writer, "w") as stream:
        monkeypatch.setattr(sys, name, stream)
        assert exit_code_of(work) == 1
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "error", [BrokenPipeError(32, "Broken pipe"), RuntimeError("not up"), SystemExit(1)]
)
def test_a_signal_decides_the_exit_code_whatever_cleaning_up_raises(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(live, "_interrupted", 0)

    def work() -> None:
        try:
            live.interrupt(signal.SIGTERM)
        finally:
            raise error

    assert exit_code_of(work) == 143
    said = capsys.readouterr().err
    assert said == "bneck: ended by SIGTERM; run the same command to resume\n"


def test_a_pipe_that_breaks_in_a_command_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it is that of the output, of which typer takes them all to be."""

    def broken(*_: object, **options: object) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "wb", buffering=0) as pipe:
            pipe.write(b"x")

    monkeypatch.setattr("bneck.commands.show.load_network", broken)
    code, _, err = said(capsys, "show", "mobilenet_v3_small")
    assert (code, err) == (1, "bneck: Broken pipe\n")
