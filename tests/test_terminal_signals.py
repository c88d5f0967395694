"""Ctrl-C, a closed terminal and SIGTERM end a command with one line that says how to resume."""

import os
import pty
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.processes import started

WORKING = """
import sys, time
from bneck import cli
from bneck.commands import app

def work():
    print("at work", flush=True)
    for _ in range(10_000):  # a signal just before a sleep is seen after it
        time.sleep(0.05)

app.COMMANDS["show"] = "__main__:work"
sys.argv = ["bneck", "show"]
cli.main()
"""


def at_work(script: str, **variables: str) -> AbstractContextManager["subprocess.Popen[str]"]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    folder = Path(__file__).resolve().parents[1]
    environment = os.environ | variables
    return started([sys.executable, "-c", script], cwd=folder, env=environment, **pipes)


@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGHUP, 129, "ended by SIGHUP"),
        (signal.SIGTERM, 143, "ended by SIGTERM"),
    ],
)
def test_a_signal_ends_with_its_code_and_one_line(
    sent: signal.Signals, code: int, words: str
) -> None:
    with at_work(WORKING) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "at work\n"
        command.send_signal(sent)
        _, said = command.communicate()
    assert command.returncode == code
    assert said == f"bneck: {words}; run the same command to resume\n"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_a_library_hides_is_not_lost(sent: signal.Signals, code: int) -> None:
    hiding = WORKING.replace(
        "        time.sleep(0.05)",
        "        try: time.sleep(0.05)\n        except BaseException: return 0",
    )
    with at_work(hiding) as command:
        assert command.stdout is not None
        command.stdout.readline()
        command.send_signal(sent)
        command.communicate()
    assert command.returncode == code


def test_a_command_that_has_had_workers_leaves_no_temporary_file(tmp_path: Path) -> None:
    """Python keeps the socket of the server that workers are forked from in a folder there."""
    with_worker = WORKING.replace(
        "def work():\n",
        "def work():\n"
        "    from bneck.executors.processes import processes\n"
        "    list(processes(1).map_unordered(abs, [-1]))\n",
    )
    with at_work(with_worker, TMPDIR=str(tmp_path)) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "at work\n"
        assert sys.platform != "linux" or [*tmp_path.iterdir()]
        command.send_signal(signal.SIGTERM)
        command.communicate()
    assert command.returncode == 143
    assert not [*tmp_path.iterdir()]


def test_a_signal_need_not_wait_until_workers_can_be_forked(tmp_path: Path) -> None:
    """Their server imports PyTorch first, which took half a minute on a busy machine."""
    (tmp_path / "slow_library.py").write_text(
        "import os, sys, time\n"
        "sys.stdout.write('at work\\n')\n"
        "sys.stdout.flush()\n"
        "driver = os.getppid()\n"
        "while os.getppid() == driver: time.sleep(0.05)\n"
    )
    with_worker = WORKING.replace(
        "def work():\n",
        "def work():\n"
        "    from bneck.executors.processes import processes\n"
        "    list(processes(1, imported=['slow_library']).map_unordered(abs, [-1]))\n",
    )
    places = os.pathsep.join([str(tmp_path), *sys.path])
    with at_work(with_worker, PYTHONPATH=places, TMPDIR=str(tmp_path)) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "at work\n"
        command.send_signal(signal.SIGTERM)
        _, said = command.communicate()
    assert command.returncode == 143
    assert said == "bneck: ended by SIGTERM; run the same command to resume\n"
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("pymp-")] == []


def test_a_terminal_that_is_gone_is_no_failure() -> None:
    """The live view and the last line can no longer be written."""
    shown = "    from bneck.live import TerminalProgress\n    TerminalProgress()('work', 1, 2)\n"
    begun = "def work():\n"
    terminal, ours = pty.openpty()
    folder = Path(__file__).resolve().parents[1]
    working = [sys.executable, "-c", WORKING.replace(begun, begun + shown)]
    with started(working, cwd=folder, stdout=subprocess.PIPE, stderr=ours) as command:
        os.close(ours)
        assert command.stdout is not None
        assert command.stdout.readline() == "at work\n"
        os.close(terminal)
        command.send_signal(signal.SIGHUP)
        assert command.wait() == 129


def test_a_command_under_nohup_outlives_its_terminal() -> None:
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    working = WORKING.replace("time.sleep(0.05)", "return int(input())")
    with at_work(ignoring + working) as command:
        assert command.stdout is not None
        command.stdout.readline()
        command.send_signal(signal.SIGHUP)
        command.communicate("0\n")
    assert command.returncode == 0
