"""A worker on a Ray cluster, where it runs."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import ray

from bneck import __version__
from bneck.errors import BneckError, UsageError
from bneck.executors.gpus import VISIBLE
from bneck.executors.worker import attempt, pin_threads
from bneck.machine import GPU_SHARE


class RemoteWorker:
    """One worker. What a task loads stays in its process between items."""

    def __init__(self, gpus: float) -> None:
        pin_threads()
        if 0 < gpus < 1:
            os.environ[GPU_SHARE] = repr(gpus)
        if not gpus:
            os.environ[VISIBLE] = ""  # newer Rays show all GPUs here, and all would take the first
        self._node = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]

    def start(self, version: str, folder: str) -> UsageError | None:
        """Relative paths mean what they mean to the driver, where its folder is here too."""
        with suppress(OSError):
            os.chdir(folder)
        if version == __version__:
            return None
        return UsageError(f"node {self._node} has bneck {__version__}, the driver {version}")

    def is_there(self) -> None:
        """Answer at once."""

    def run(self, task: Callable[[Any], Any], item: Any) -> Any:
        result = attempt(task, item)
        if isinstance(result, BneckError):
            return type(result)(f"node {self._node}: {result}")
        return result


REMOTE_WORKER: Any = ray.remote(RemoteWorker)
"""One for all actors: Ray sends the head each anew, and waits for a head that is gone."""
