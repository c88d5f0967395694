"""What a pool needs of a worker, and what a worker answers: results that can travel."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from bneck.errors import BneckError, DeviceLost, ProxyFailed, UsageError
from bneck.executors import Failed, Item, NotYet, Result, reason

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerLost(Exception):
    """A worker is gone; the message says how."""


class Worker(Protocol):
    """Starts by itself; answers once when it has started, then once for each item it is given."""

    def give(self, task: Callable[[Any], Any], item: Any) -> None:
        """Hand over one item; raises WorkerLost."""

    def answer(self) -> Any:
        """A task's answer (``attempt``); None or UsageError once started. Raises WorkerLost."""

    def is_running(self) -> bool:
        """Whether it surely runs; one of a cluster may still wait for a free CPU or GPU."""

    def kill(self) -> None:
        """Stop at once, in the middle of whatever it does."""


W = TypeVar("W", bound=Worker)


class WorkerKind(Protocol[W]):
    """How workers of one kind are started and waited for."""

    def start(self) -> W: ...

    def wait(self, workers: Sequence[W], seconds: float | None) -> Sequence[W]:
        """Those that have answered or are lost; none once the seconds have passed."""

    def room(self, wanted: int) -> int:
        """How many workers fit at this time, where ``wanted`` could be used."""

    def close(self) -> None: ...


def load(task: Callable[[Any], Any]) -> None:
    """What comes before a worker's first item of a task: only to be unpickled imports its code."""
    if hasattr(task, "load"):
        task.load()


def attempt(task: Callable[[Item], Result], item: Item) -> Result | Failed | BneckError:
    """Run the task; whatever it raises becomes a value that travels.

    ``ProxyFailed`` and bugs are the item's failure. Errors that are returned never become an item's
    result: ``UsageError`` refuses what the user asked for, ``DeviceLost`` ends the worker but not
    the work, and any other ``BneckError`` is of the machine (a full disk, a folder that is gone).
    """
    try:
        return task(item)
    except ProxyFailed as error:
        return Failed(reason(error))
    except UsageError as error:
        return UsageError(str(error))
    except DeviceLost as error:
        return DeviceLost(str(error))
    except BneckError as error:
        return BneckError(str(error))
    except OSError as error:
        return BneckError(reason(error))
    except (Exception, SystemExit) as error:
        return Failed(reason(error))


def one_by_one(
    evaluate: Callable[[Item], Any], items: Iterable[Item | NotYet]
) -> Iterator[tuple[Item, Any]]:
    """Yield (item, its result or ``Failed``), in order, of an executor with one item at a time.

    Raises:
        BneckError: ``evaluate`` returned one, or an item waits for results.
    """
    for item in items:
        if isinstance(item, NotYet):
            raise BneckError("the next item waits for results, but none is under way")
        outcome = evaluate(item)
        if isinstance(outcome, BneckError):
            raise outcome
        yield item, outcome


def pin_threads() -> None:
    """One thread for the numeric libraries of this process, which read this when first imported."""
    os.environ.update(dict.fromkeys(_THREADS, "1"))


@contextmanager
def threads_pinned() -> Iterator[None]:
    """Pin the threads of processes that are started in this block."""
    before = {name: os.environ.get(name) for name in _THREADS}
    pin_threads()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
