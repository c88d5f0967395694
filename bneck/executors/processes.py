"""Processes on this machine, each with one thread and a pipe to the driver.

On Linux they are forked from a server that has imported what their tasks need: a worker starts at
once, and shares the memory of all that was imported. The server ends with the driver. Workers with
an environment of their own, as those that share GPUs, import for themselves.

Ctrl-C and a closed terminal reach the driver alone: it decides what becomes of its workers.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context, parent_process, resource_tracker, spawn
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from bneck.errors import BneckError, UsageError
from bneck.executors import Executor, Failed, reason
from bneck.executors.pool import WorkerPool
from bneck.executors.worker import WorkerLost, attempt, pin_threads, threads_pinned

_TERMINAL_SIGNALS = {signal.SIGINT, signal.SIGHUP}
_ENDING_SIGNALS = {*_TERMINAL_SIGNALS, signal.SIGTERM}


def processes(
    workers: int,
    *,
    time_limit_s: float | None = None,
    environments: Sequence[Mapping[str, str]] = (),
    imported: Sequence[str] = (),
) -> Executor:
    """An executor of ``workers`` processes; they end with this one, however it ends.

    Args:
        workers: how many.
        time_limit_s: an item that takes longer fails.
        environments: variables of each worker's environment; none unless given.
        imported: modules that tasks need, which workers share in memory.
    """
    kind = Processes(workers, environments, imported)
    return WorkerPool(kind, workers, time_limit_s=time_limit_s)


@contextmanager
def script_kept_out() -> Iterator[None]:
    """Let workers that start meanwhile not run the script that is the main module.

    Python's do, so that a script without ``if __name__ == "__main__"`` would begin all its work
    again in each of them. Their tasks must then be from modules that can be imported.
    """
    main = vars(sys.modules["__main__"])
    about: dict[str, Any] = {k: main[k] for k in ("__file__", "__spec__") if k in main}
    main["__spec__"] = None
    main.pop("__file__", None)  # Ray takes no None
    try:
        yield
    finally:
        main.update(about)


class Process:
    """One worker, with variables of its own in its environment."""

    def __init__(self, environment: Mapping[str, str], imported: Sequence[str]) -> None:
        """Start the process.

        Raises:
            BneckError: the system has no process or no pipe left for it.
        """
        try:
            self._start(environment, imported)
        except (OSError, EOFError) as error:  # EOFError: the server could not fork
            raise BneckError(f"no worker can be started: {reason(error)}") from None

    def _start(self, environment: Mapping[str, str], imported: Sequence[str]) -> None:
        forked = sys.platform == "linux" and not environment
        context = get_context("forkserver") if forked else get_context("spawn")
        context.set_forkserver_preload(list(imported))
        self.pipe, theirs = context.Pipe()
        whole = dict(os.environ) | dict(environment)
        given = (theirs, whole, tuple(sys.path), _script())
        self._process = context.Process(target=_serve, args=given, daemon=True)
        started: Future[None] = Future()
        threading.Thread(target=self._start_held, args=(started,), daemon=True).start()
        started.result()  # Ctrl-C need not wait until the server has imported all that it shares
        theirs.close()

    def _start_held(self, started: "Future[None]") -> None:
        """Start the process in a thread that gets no signals, and so hands none on."""
        try:
            resource_tracker.ensure_running()  # which unblocks signals as it starts (CPython 3.11)
            with script_kept_out(), _ending_signals_held(), threads_pinned():  # the server's, too
                self._process.start()
        except BaseException as error:
            started.set_exception(error)
        else:
            started.set_result(None)

    def give(self, task: Callable[[Any], Any], item: Any) -> None:
        try:
            self.pipe.send((task, item))
        except OSError:
            raise self._lost() from None

    def answer(self) -> Any:
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            raise self._lost() from None

    def is_running(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()

    def _lost(self) -> WorkerLost:
        self._process.join(timeout=1)
        code = self._process.exitcode
        if code is None or code >= 0:
            return WorkerLost(f"its worker ended with exit code {code}")
        hint = "; the system kills what exhausts the memory" if -code == signal.SIGKILL else ""
        name = next((one.name for one in signal.Signals if one == -code), f"signal {-code}")
        return WorkerLost(f"its worker was killed by {name}{hint}")


class Processes:
    """Workers that are processes."""

    def __init__(
        self,
        workers: int,
        environments: Sequence[Mapping[str, str]] = (),
        imported: Sequence[str] = (),
    ) -> None:
        self._workers, self._imported = workers, imported
        self._environments = environments or [{}] * workers
        self._by_place: list[Process | None] = [None] * workers

    def start(self) -> Process:
        """Start a worker with the environment of a place that none has now."""
        place = next(
            n for n, one in enumerate(self._by_place) if one is None or not one.is_running()
        )
        self._by_place[place] = process = Process(self._environments[place], self._imported)
        return process

    def wait(self, workers: Sequence[Process], seconds: float | None) -> Sequence[Process]:
        answered = set(connection.wait([worker.pipe for worker in workers], seconds))
        return [worker for worker in workers if worker.pipe in answered]

    def room(self, wanted: int) -> int:
        """As many as were asked for: a machine does not grow."""
        return self._workers

    def close(self) -> None:
        """The pool stops the workers, and there is nothing else."""


def _serve(
    pipe: Connection,
    environment: Mapping[str, str],
    places: Sequence[str],
    script: Mapping[str, str],
) -> None:
    """A worker's life: say that it has started, answer each item, end when the driver is gone.

    Args:
        pipe: to the driver.
        environment: the driver's as it is now, where the server's is that of its start.
        places: where the driver looks for modules; Python would look in the working directory that
            the driver began in, not in the one that it is in now.
        script: the main module, as ``_script`` names it.
    """
    sys.path[:] = places
    os.environ.clear()
    os.environ.update(environment)
    for terminal_signal in _TERMINAL_SIGNALS:
        signal.signal(terminal_signal, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # Python ends leftovers by it
    pin_threads()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):  # the driver is gone
        pipe.send(attempt(_import_script, script))
        while True:
            _answer_one(pipe)


def _script() -> dict[str, str]:
    """What Python tells its own workers of the main module; empty where there is none to import."""
    told = spawn.get_preparation_data("worker")
    return {name: value for name, value in told.items() if name.startswith("init_main_from_")}


def _import_script(script: Mapping[str, str]) -> None:
    """Import the main module, where tasks may be from: as Python does, but once a worker can end.

    Raises:
        UsageError: it cannot be imported, as where it starts workers of its own.
    """
    try:
        spawn.prepare(dict(script))
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"no worker can import {' '.join(script.values())}: {reason(error)}; what it does must "
            'be below `if __name__ == "__main__":`'
        ) from None


def _answer_one(pipe: Connection) -> None:
    """Answer the next item; raises EOFError or OSError where the driver is gone."""
    given = pipe.recv_bytes()
    try:
        task, item = ForkingPickler.loads(given)
        result = attempt(task, item)
    except Exception as error:
        result = Failed(f"cannot be read by its worker: {reason(error)}")
    try:
        answer = ForkingPickler.dumps(result)
    except Exception as error:
        answer = ForkingPickler.dumps(Failed(f"its result cannot travel: {reason(error)}"))
    pipe.send_bytes(answer)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _ending_signals_held() -> Iterator[None]:
    """A process started in this block inherits the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
