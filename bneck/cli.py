"""The command ``bneck``: text to stdout, progress to stderr, one line and a code for errors."""

import atexit
import logging
import os
import signal
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from math import isfinite, nan
from pathlib import Path
from typing import NoReturn

from bneck import live
from bneck.errors import BneckError, UsageError, refused
from bneck.imports import forget_working_directory
from bneck.machine import wait_passively
from bneck.path_checks import check_new_file, check_new_folder
from bneck.stdout import reader_has_gone
from bneck.text import one_line

_ENDING = {
    signal.SIGINT: signal.default_int_handler,  # Ctrl-C
    signal.SIGHUP: signal.SIG_DFL,  # a closed terminal
    signal.SIGTERM: signal.SIG_DFL,  # what Slurm, Docker and Kubernetes send
}
"""Signals that end a command, with what Python does at each."""
_FORESEEN = {
    "can't start new thread": "the system limits processes and threads (ulimit -u)",  # Python's
    "can't allocate memory": "out of memory",  # PyTorch's on a CPU
    "could not create a primitive": "out of memory",  # oneDNN's, which PyTorch hands on
    "operator torchvision::nms does not exist": "torchvision is not of torch's version or build; "
    "install both together, from one index",
}
"""What libraries say in a RuntimeError that a user can do something about, and what it means."""
_ENDED_BY = {
    live.ended_by(one): "interrupted" if one is signal.SIGINT else f"ended by {one.name}"
    for one in _ENDING
}


def main() -> None:
    """Run the command line and exit.

    The code is 0 done, 1 failed at work, 2 bad usage, 130 interrupted, 129 ended by SIGHUP (a
    closed terminal), 143 by SIGTERM.
    """
    _prepare_streams()
    ours = [one for one, usual in _ENDING.items() if signal.getsignal(one) is usual]
    for one in ours:  # not one that is ignored, as under nohup
        signal.signal(one, live.interrupt)
    forget_working_directory()
    wait_passively()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # how it does without a home folder
    code = run(sys.argv[1:])
    for one in ours:  # only the interpreter's own end is left
        signal.signal(one, signal.SIG_IGN)
    if code in _ENDED_BY and "ray" not in sys.modules:  # Ray stops what it started at exit
        _end_now(code)
    sys.exit(code)


def _prepare_streams() -> None:
    """Let the streams that the command was started without, as by ``2>&-``, lead nowhere.

    Python would print to stdout what is meant for a closed stderr, and the next file that is opened
    would have the number of the stream. What stdout's encoding lacks is spelt out.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if isinstance(sys.stdout, TextIOWrapper):  # stderr does so from the start
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _end_now(code: int) -> NoReturn:
    """Exit without tearing down torch and the like, which takes most of a second of a core."""
    atexit._run_exitfuncs()  # or the folder in which Python found its workers' server would stay
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""

    def command() -> int:
        from bneck.commands.app import call  # a Ctrl-C meanwhile is one like any other

        code = call(arguments)  # typer turns any interrupt that it sees into 130
        return live.exit_code() or code

    return exit_code_of(command)


def exit_code_of(work: Callable[[], int | None]) -> int:
    """Do the work and return its exit code: what goes wrong is one line on stderr, no traceback."""
    try:
        code = work() or 0
    except KeyboardInterrupt:
        code = live.exit_code() or live.ended_by(signal.SIGINT)
    except (Exception, SystemExit) as error:
        code = live.exit_code()  # after a signal it is the clean-up that raises
        if not code:
            return _answer(error)
    if code in _ENDED_BY:
        return _fail(f"{_ENDED_BY[code]}; run the same command to resume", code)
    return code


def _answer(error: BaseException) -> int:
    """Say in one line what went wrong and return the exit code; raise an unexpected error again."""
    if isinstance(error, BrokenPipeError) and reader_has_gone():
        return 1
    if isinstance(error, OSError):
        error = refused(error)
    if isinstance(error, BneckError):
        return _fail(str(error), error.exit_code)
    if isinstance(error, MemoryError):
        return _fail(str(error) or "out of memory", 1)
    if isinstance(error, ImportError):  # as of a library that `ulimit -v` leaves no room for
        return _fail(f"cannot load a library: {error}", 1)
    for said, means in _FORESEEN.items():
        if isinstance(error, RuntimeError) and said in str(error):
            return _fail(f"{said}: {means}", 1)
    raise error


def whole_number(text: str, least: int = 1) -> int:
    """Read a whole number from ``least`` on, for argparse in scripts, which names the option."""
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise ArgumentTypeError(f"must be a whole number from {least} on, got {text!r:.80}")
    return number


def whole_from_zero(text: str) -> int:
    """Read a whole number from 0 on, such as a seed, for argparse in scripts."""
    return whole_number(text, least=0)


def positive(text: str) -> float:
    """Read a finite number above 0, for argparse in scripts, which names the option."""
    return _finite(text, "above 0", lambda number: number > 0)


def from_zero(text: str) -> float:
    """Read a finite number from 0 on, for argparse in scripts, which names the option."""
    return _finite(text, "from 0 on", lambda number: number >= 0)


def _finite(text: str, allowed: str, is_allowed: Callable[[float], bool]) -> float:
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not (isfinite(number) and is_allowed(number)):
        raise ArgumentTypeError(f"must be a finite number {allowed}, got {text!r:.80}")
    return number


def new_file(text: str) -> Path:
    """Read the path of a file that is to be written, for argparse in scripts."""
    return _place(text, check_new_file)


def new_folder(text: str) -> Path:
    """Read the path of a folder that is to be written into, for argparse in scripts."""
    return _place(text, check_new_folder)


def _place(text: str, check: Callable[[Path], None]) -> Path:
    try:
        check(Path(text))
    except UsageError as error:
        raise ArgumentTypeError(str(error)) from None
    return Path(text)


def _fail(message: str, code: int) -> int:
    live.close()
    with suppress(OSError):  # the terminal is gone
        print(f"bneck: {one_line(message)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
