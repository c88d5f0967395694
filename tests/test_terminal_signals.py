"""Ctrl-C and a closed terminal end a command with 130 and one line that says how to resume."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

WORKING = """
import sys, time
from bneck import cli
from bneck.commands import app

def call(arguments):
    print("at work", flush=True)
    time.sleep(60)

app.call = call
sys.argv = ["bneck"]
cli.main()
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGHUP])
def test_a_terminal_signal_ends_with_130(sent: signal.Signals) -> None:
    command = subprocess.Popen(
        [sys.executable, "-c", WORKING],
        cwd=Path(__file__).resolve().parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "at work\n"
    command.send_signal(sent)
    _, said = command.communicate(timeout=60)
    assert command.returncode == 130
    assert said.startswith("bneck: interrupted")
    assert said.count("\n") == 1


def test_a_signal_that_a_library_hides_is_not_lost() -> None:
    hiding = WORKING.replace(
        "    time.sleep(60)",
        "    try:\n        time.sleep(60)\n    except BaseException:\n        return 0",
    )
    command = subprocess.Popen(
        [sys.executable, "-c", hiding],
        cwd=Path(__file__).resolve().parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    command.stdout.readline()
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=60)
    assert command.returncode == 130


def test_a_command_under_nohup_outlives_its_terminal() -> None:
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    working = WORKING.replace("time.sleep(60)", "time.sleep(3); return 0")
    command = subprocess.Popen(
        [sys.executable, "-c", ignoring + working],
        cwd=Path(__file__).resolve().parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    command.stdout.readline()
    command.send_signal(signal.SIGHUP)
    command.communicate(timeout=60)
    assert command.returncode == 0
