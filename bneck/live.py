"""Progress on stderr: a live view in a terminal, a line every few seconds elsewhere."""

import atexit
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType
from typing import Any

from bneck.stage_progress import StageProgress
from bneck.text import harmless, one_line

_view: Any = None
"""The live view that is on the screen, if any."""
_interrupted = 0
"""The exit code of the signal that came, if any."""
_watches: list[threading.Event] = []
"""Each ends a thread that prints lines while nothing else does."""


def ended_by(number: int) -> int:
    """Return the exit code of a command that a signal ended, as shells have it."""
    return 128 + number


def interrupt(number: int, _: object = None) -> None:
    """On a signal that ends a command: end now, or at the next progress if a library hides it."""
    global _interrupted
    _interrupted = _interrupted or ended_by(number)
    raise KeyboardInterrupt


@contextmanager
def interrupts_wait() -> Iterator[Callable[[], bool]]:
    """Hold back Ctrl-C and the command's other signals; the callable says whether one came.

    So a training step is never cut in half. What came is obeyed when the block ends, whatever it
    raises. In other threads, and where the program has its own way with a signal, nothing changes.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    held: dict[int, Callable[[int, FrameType | None], Any]] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            usual = signal.getsignal(number)
            if callable(usual) and usual in (signal.default_int_handler, interrupt):
                held[number] = usual
                signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        for one, handler in held.items():
            signal.signal(one, handler)
        if came:
            held[came[0]](came[0], None)


def stop() -> None:
    """End the command as Ctrl-C does, from a thread that is not its main one."""
    global _interrupted
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of what a script has begun with &
        _interrupted = _interrupted or ended_by(signal.SIGINT)
    else:
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)  # ends its waiting, too


def exit_code() -> int:
    """Return that of the signal that ended the command, 0 if none did."""
    return _interrupted


def close() -> None:
    """End the live view and the threads that print lines, so that other output can follow."""
    global _view
    while _watches:
        _watches.pop().set()
    if _view is not None:
        view, _view = _view, None
        with suppress(OSError):  # the terminal is gone
            view.stop()


def warn(text: str) -> None:
    """Print a warning to stderr, on one line."""
    _say(f"warning: {one_line(text)}")


def _say(line: str) -> None:
    """Print a line to stderr at once: print() writes its end apart, and Ctrl-C may come between."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class TerminalProgress:
    """Shows each stage: how far it is, how long it still takes, and the first line of its note.

    In a terminal the running stages are in view, with the whole of notes that have several lines,
    such as the search's best networks; a stage that is done stays on the screen above them.
    Elsewhere a line is printed every few seconds, even if nothing has changed.
    """

    SECONDS, SILENCE = 5.0, 10.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stages: dict[str, StageProgress] = {}
        self._printed_s: dict[str, float] = {}
        self._printing = threading.Lock()
        self._ended = threading.Event()
        self._ended.set()
        self._live = sys.stderr.isatty()

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None:
        if _interrupted:
            raise KeyboardInterrupt
        what, note = harmless(what), harmless(note)
        now = self._clock()
        before = self._stages.get(what)
        if before is None or done < before.done:
            before = StageProgress(now, done, done, total, note, now, now, what.endswith("(s)"))
        advanced_s = now if done > before.done else before.advanced_s
        self._stages[what] = replace(
            before, done=done, total=total, note=note, advanced_s=advanced_s, told_s=now, now_s=now
        )
        if self._live:
            self._draw()
        else:
            if done >= total or now - self._printed_s.get(what, -math.inf) >= self.SECONDS:
                self._print(what, now)
            self._keep_talking()

    def _print(self, what: str, now: float) -> None:
        stage = replace(self._stages[what], now_s=now)
        left = "" if stage.done >= stage.total or not stage.time else f", {stage.time}"
        headline = stage.note.partition("\n")[0]
        text = f"{what}: {stage.done}/{stage.total}{left}{f'; {headline}' if headline else ''}"
        with self._printing:
            self._printed_s[what] = now
            _say(text)

    def _keep_talking(self) -> None:
        """Start the thread that prints a line where there was none for some time."""
        if not self._ended.is_set():
            return
        self._ended = ended = threading.Event()
        _watches.append(ended)

        def look() -> None:
            while not ended.wait(1.0):
                now = self._clock()
                stages = list(self._stages.items())
                running = [what for what, one in stages if one.done < one.total]
                if running and now - max(self._printed_s.values()) >= self.SILENCE:
                    self._print(running[-1], now)

        threading.Thread(target=look, daemon=True).start()

    def _draw(self) -> None:
        global _view
        from rich.console import Console
        from rich.live import Live

        if _view is None:
            _view = Live(
                console=Console(stderr=True), redirect_stdout=False, get_renderable=self.view
            )
            _view.start()
            atexit.register(close)
        ended = {what: one for what, one in self._stages.items() if one.done >= one.total}
        self._stages = {w: one for w, one in self._stages.items() if w not in ended}
        if ended:
            _view.console.print(self._rendered(ended))
        if self._stages:
            _view.refresh()
        else:
            close()

    def view(self) -> Any:
        """The stages as a rich table, and below it the news of several lines."""
        return self._rendered(dict(self._stages))

    def _rendered(self, stages: dict[str, StageProgress]) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        now = self._clock()
        for what, known in stages.items():
            stage = known if known.done >= known.total else replace(known, now_s=now)
            grid.add_row(
                Text(what),
                ProgressBar(total=max(1, stage.total), completed=stage.done, width=24),
                Text(f"{stage.done}/{stage.total}", justify="right"),
                Text(stage.time),
                Text(stage.note.partition("\n")[0]),
            )
        news = [stage.note for stage in stages.values() if "\n" in stage.note][-1:]
        return Group(grid, *(Text(f"\n{note.partition(chr(10))[2]}") for note in news))
