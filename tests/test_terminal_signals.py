"""Ctrl-C and a closed terminal end a command with 130 and one line that says how to resume."""

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

def call(arguments):
    print("at work", flush=True)
    for _ in range(10_000):  # a signal just before a sleep is seen after it
        time.sleep(0.05)

app.call = call
sys.argv = ["bneck"]
cli.main()
"""


def at_work(script: str) -> AbstractContextManager["subprocess.Popen[str]"]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    folder = Path(__file__).resolve().parents[1]
    return started([sys.executable, "-c", script], cwd=folder, **pipes)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGHUP])
def test_a_terminal_signal_ends_with_130(sent: signal.Signals) -> None:
    with at_work(WORKING) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "at work\n"
        command.send_signal(sent)
        _, said = command.communicate()
    assert command.returncode == 130
    assert said.startswith("bneck: interrupted")
    assert said.count("\n") == 1


def test_a_signal_that_a_library_hides_is_not_lost() -> None:
    hiding = WORKING.replace(
        "        time.sleep(0.05)",
        "        try: time.sleep(0.05)\n        except BaseException: return 0",
    )
    with at_work(hiding) as command:
        assert command.stdout is not None
        command.stdout.readline()
        command.send_signal(signal.SIGINT)
        command.communicate()
    assert command.returncode == 130


def test_a_command_under_nohup_outlives_its_terminal() -> None:
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    working = WORKING.replace("time.sleep(0.05)", "return int(input())")
    with at_work(ignoring + working) as command:
        assert command.stdout is not None
        command.stdout.readline()
        command.send_signal(signal.SIGHUP)
        command.communicate("0\n")
    assert command.returncode == 0
