"""Processes that tests start, and what this one has opened."""

import fcntl
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from bneck.executors.processes import script_kept_out

PRELOADED = "bneck.proxies.training.trainer", "bneck.derivation.pipeline"
"""What commands and workers import, PyTorch among it: two seconds of a core."""


@contextmanager
def started(command: Sequence[str], **more: Any) -> Iterator["subprocess.Popen[str]"]:
    """Start a process with text pipes that does not outlive its test, even one that fails.

    One left behind would fail whatever test runs when it is collected.
    """
    with subprocess.Popen(command, text=True, **more) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def command_begun(arguments: Sequence[str], stderr: Path) -> Iterator[BaseProcess]:
    """Start ``bneck`` as a process with a file for its stderr that does not outlive its test.

    It is forked from one that has PyTorch already.
    """
    forking = get_context("forkserver")
    forking.set_forkserver_preload([*PRELOADED])
    process = forking.Process(target=_run_command, args=([*arguments], stderr, dict(os.environ)))
    with script_kept_out():
        process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _run_command(arguments: list[str], stderr: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)  # the one that it is forked from has an earlier one
    # blocked in what the executors' server forks, and ignored in what a script began with &
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGHUP, signal.SIGTERM})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for file, stream in ((Path(os.devnull), 1), (stderr, 2)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream)
    sys.argv = ["bneck", *arguments]
    from bneck.cli import main

    main()


def wait_until_opened(path: Path, times: int) -> None:
    """Wait until this process has a file open so many times."""
    while len(opened_as(path)) < times:
        time.sleep(0.01)


def opened_as(path: Path) -> list[int]:
    """Return how this process has a file open, each time that it has: ``os.O_RDWR`` or the like."""
    known, found = path.stat(), []
    for number in map(int, os.listdir("/dev/fd")):
        with suppress(OSError):  # closed meanwhile
            if os.path.samestat(known, os.fstat(number)):
                found.append(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE)
    return found


def threads_begun_by(prepare: Callable[[], Callable[[], object]]) -> int:
    """How many threads more this process has where what is prepared is there and was run once.

    All is done once before, as libraries begin threads of their own when they are first used.
    """
    tasks = "/proc/self/task"
    if not os.path.isdir(tasks):
        pytest.skip("threads are counted on Linux")
    prepare()()
    gc.collect()
    before = len(os.listdir(tasks))
    run = prepare()
    run()
    return len(os.listdir(tasks)) - before
