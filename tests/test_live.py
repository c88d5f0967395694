"""Progress: lines where nobody watches, a live view in a terminal."""

import io
import sys
import time
from functools import partial

import pytest
from rich.console import Console

from bneck import live
from bneck.live import TerminalProgress
from tests.clock import Clock


def test_lines_come_every_few_seconds_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = TerminalProgress(clock)
    for done in range(11):
        clock.now = 2.0 * done + 100
        progress("search", done, 10, "best 0.9\nthe front")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "search: 0/10; best 0.9",
        "search: 3/10, 14 s left; best 0.9",
        "search: 6/10, 8 s left; best 0.9",
        "search: 9/10, 2 s left; best 0.9",
        "search: 10/10; best 0.9",
    ]


def _said_next(capsys: pytest.CaptureFixture[str]) -> str:
    """What the watching thread says, once it looks."""
    for _ in range(300):
        time.sleep(0.1)
        if said := capsys.readouterr().err:
            break
    live.close()
    return said


def test_a_line_comes_while_nothing_is_new(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = TerminalProgress(clock)
    progress("training", 0, 4)
    clock.now = 20.0
    progress("training", 1, 4)
    capsys.readouterr()
    clock.now = 40.0
    assert _said_next(capsys) == "training: 1/4, 40 s left\n"


def test_a_line_comes_after_ten_seconds_of_silence(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = TerminalProgress(clock)
    progress("training", 0, 4)
    capsys.readouterr()
    clock.now = TerminalProgress.SILENCE + 1
    assert _said_next(capsys) == "training: 0/4, 11 s so far\n"


def test_the_pace_is_that_of_the_last_advance(capsys: pytest.CaptureFixture[str]) -> None:
    """News without an advance are no reason for another pace."""
    clock = Clock()
    progress = TerminalProgress(clock)
    progress("search", 0, 4)
    for clock.now, done in ((20.0, 1), (50.0, 1), (60.0, 2), (70.0, 2)):
        progress("search", done, 4)
    live.close()
    assert capsys.readouterr().err.splitlines() == [
        "search: 0/4",
        "search: 1/4, 60 s left",
        "search: 1/4, 30 s left",
        "search: 2/4, 60 s left",
        "search: 2/4, 50 s left",
    ]


def test_the_view_holds_every_stage_and_the_front(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = TerminalProgress(clock)
    progress("calibrating", 0, 60)
    clock.now = 60.0
    progress("calibrating", 60, 60, "50 timings")
    progress("search", 0, 24)
    clock.now = 120.0
    progress("search", 12, 24, "best so far: 0.91; 2 failed\nthe front so far:\n  0.15 ms  0.91")
    console = Console(width=100, record=True, quiet=False)
    with console.capture() as shown:
        console.print(progress.view())
    text = shown.get()
    for words in ("calibrating", "60/60", "12/24", "60 s left", "2 failed", "0.15 ms  0.91"):
        assert words in text
    capsys.readouterr()


def test_in_a_terminal_what_is_done_scrolls_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    clock = Clock()
    progress = TerminalProgress(clock)
    progress("whole run (s)", 0, 60)
    for step in range(40):
        progress(f"step {step}", 1, 1)
    shown = progress.view()
    console = Console(width=100, record=True)
    with console.capture() as text:
        console.print(shown)
    live.close()
    assert text.get().split() == ["whole", "run", "(s)", *text.get().split()[3:]]
    assert "step" not in text.get()
    said = capsys.readouterr().err
    assert all(f"step {step} " in said for step in range(40))


def test_progress_is_obeyed_by_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    TerminalProgress()("class \x1b[2J", 1, 1, "\x1b]0;note\x07")
    assert "\x1b" not in capsys.readouterr().err


def test_what_is_counted_in_seconds_has_as_many_left(capsys: pytest.CaptureFixture[str]) -> None:
    """A stage done at once tells no pace: 120 of 2,443 s after half an hour leave 39 minutes."""
    clock = Clock()
    progress = TerminalProgress(clock)
    progress("whole run (s)", 0, 2443)
    clock.now = 1.0
    progress("whole run (s)", 120, 2443)
    clock.now = 1800.0
    progress("whole run (s)", 120, 2443)
    live.close()
    assert capsys.readouterr().err.splitlines()[-1] == "whole run (s): 120/2443, 38 min 43 s left"


def test_what_is_counted_in_seconds_is_counted_down(capsys: pytest.CaptureFixture[str]) -> None:
    """Of 2,443 s, 643 are left after half an hour; of those that took longer, none is known."""
    clock = Clock()
    progress = TerminalProgress(clock)
    progress("whole run (s)", 0, 2443)
    for clock.now in (1800.0, 2500.0):
        progress._print("whole run (s)", clock.now)
    live.close()
    assert capsys.readouterr().err.splitlines()[1:] == [
        "whole run (s): 0/2443, 10 min 43 s left",
        "whole run (s): 0/2443, 41 min 40 s so far",
    ]


class Interrupting(io.StringIO):
    """Written to as Ctrl-C comes: what was begun is written, and nothing after it."""

    def write(self, text: str) -> int:
        super().write(text)
        raise KeyboardInterrupt


def test_an_interrupt_leaves_no_line_without_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command says last would be appended to it."""
    progress = TerminalProgress(Clock())
    for say in (partial(live.warn, "text"), partial(progress, "search", 0, 1)):
        stderr = Interrupting()
        monkeypatch.setattr(sys, "stderr", stderr)
        with pytest.raises(KeyboardInterrupt):
            say()
        assert stderr.getvalue().endswith("\n")
