"""Actors on a Ray cluster, or on a Ray of this machine: one for each evaluation at a time.

Ray's own restarts and retries stay off: an item that kills its worker would be tried for ever
(``max_task_retries=-1``) or end the search (a finite number, ActorUnavailableError). The pool
counts the losses of each item and starts new actors, which Ray places on any node that is left.
"""

import os
import re
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import ceil, inf
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError, RayTaskError

from bneck import __version__, live
from bneck.errors import BneckError, UsageError
from bneck.executors import Executor, Failed, reason
from bneck.executors.gpus import VISIBLE
from bneck.executors.pool import WorkerPool
from bneck.executors.ray_cluster import ANSWER_SECONDS, connect, nodes
from bneck.executors.reserved import ONE_CPU, Reserved
from bneck.executors.together import Together
from bneck.executors.worker import WorkerLost, attempt, pin_threads
from bneck.machine import GPU_SHARE

JUST_NOW_SECONDS = 0.01
"""A worker that answered since is there; to ask costs the driver half as much as all the rest."""


def on_ray(
    address: str,
    workers: int | None,
    *,
    reserved: Reserved = ONE_CPU,
    time_limit_s: float | None = None,
    device: str = "cpu",
) -> Executor:
    """Executor of so many actors.

    Args:
        address: ``auto``, ``local`` or ``ray://HOST:PORT``.
        workers: None is as many as the cluster has room for, which may change while it works.
        reserved: what Ray keeps for each actor.
        time_limit_s: an item that takes longer fails.
        device: what items train on.

    Raises:
        UsageError: a malformed address, no cluster there, no node with so many CPUs or GPUs, or
            none with a GPU where the device is one.
    """
    kind = Actors(address, workers, reserved, device)
    return WorkerPool(kind, workers, time_limit_s=time_limit_s)


def together_on_ray(address: str, count: int, device: str) -> Executor:
    """An executor of so many actors that share each item; they find each other by TCP.

    Args:
        address: ``auto``, ``local`` or ``ray://HOST:PORT``.
        count: of actors.
        device: what they train on: "auto" is a GPU each, where the cluster has any.

    Raises:
        UsageError: no cluster there, or one with fewer CPUs or GPUs.
    """
    kind = Actors(address, count, ONE_CPU, device)
    totals = [sum(node.get(name, 0) for node in nodes()) for name in ("CPU", "GPU")]
    on_gpus = device != "cpu" and totals[1] > 0
    if totals[on_gpus] < count:
        kind.close()
        what = "GPUs" if on_gpus else "CPUs"
        raise UsageError(f"--gpus is {count}, but the cluster has {totals[on_gpus]:g} {what}")
    if on_gpus:
        kind.reserved = Reserved(1.0, 1.0)
    return Together(kind, count, on_this_node)


def on_this_node(_: None) -> str:
    """Return a free port of this node, by which others may find it."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    return f"tcp://{ray.util.get_node_ip_address()}:{port}"  # type: ignore[no-untyped-call]


class Actor:
    """One worker, seen from the driver."""

    def __init__(self, reserved: Reserved) -> None:
        kind: Any = ray.remote(RemoteWorker)
        self._actor = kind.options(
            num_cpus=reserved.cpus, num_gpus=reserved.gpus, max_restarts=0
        ).remote(reserved.gpus)
        self.pending: ray.ObjectRef[Any] = self._actor.start.remote(__version__, os.getcwd())
        self._heard_s = -inf

    def give(self, task: Callable[[Any], Any], item: Any) -> None:
        """Raises WorkerLost where it was lost as it waited: Ray takes calls of what is no more."""
        if time.monotonic() > self._heard_s + JUST_NOW_SECONDS:
            try:
                ray.get(self._actor.is_there.remote(), timeout=ANSWER_SECONDS)
            except RayError as error:
                raise WorkerLost(_how(error)) from None
        self.pending = self._actor.run.remote(task, item)

    def answer(self) -> Any:
        try:
            answer = ray.get(self.pending)
            self._heard_s = time.monotonic()
            return answer
        except RayTaskError as error:
            return Failed(f"its result cannot travel: {reason(error.cause)}")
        except RayError as error:
            raise WorkerLost(_how(error)) from None

    def is_running(self) -> bool:
        return False  # Ray does not say

    def kill(self) -> None:
        ray.kill(self._actor)


class Actors:
    """Workers that are actors. A Ray that the program had connected to already is left as it is."""

    def __init__(self, address: str, workers: int | None, reserved: Reserved, device: str) -> None:
        self.reserved, self._wanted = reserved, 0
        cpus = None if workers is None else max(1, ceil(workers * reserved.cpus))
        self._connected = connect(address, cpus)
        try:
            reserved.check_nodes(nodes(), device)
        except UsageError:
            self.close()
            raise

    def room(self, wanted: int) -> int:
        """How many workers fit on the nodes that are up, at least 1.

        A cluster that can grow is asked for nodes for as many workers as are ``wanted``, and may
        let go of those that it was asked for before.
        """
        fit = self.reserved.fit
        room = max(1, sum(fit(node.get("CPU", 0), node.get("GPU", 0)) for node in nodes()))
        if wanted > room or wanted < self._wanted:
            self._ask_for_nodes(wanted)
        return room

    def start(self) -> Actor:
        return Actor(self.reserved)

    def wait(self, workers: Sequence[Actor], seconds: float | None) -> Sequence[Actor]:
        by_pending = {worker.pending: worker for worker in workers}
        done, _ = ray.wait(list(by_pending), num_returns=1, timeout=seconds)
        return [by_pending[pending] for pending in done]

    def close(self) -> None:
        if ray.is_initialized() and self._wanted:
            self._ask_for_nodes(0)
        if self._connected:
            with live.interrupts_wait():  # Ray ends a process that goes on after half of it
                ray.shutdown()

    def _ask_for_nodes(self, workers: int) -> None:
        """Tell Ray's autoscaler, where there is one; a cluster without one takes no notice."""
        if workers != self._wanted:
            self._wanted = workers
            with suppress(RayError, RuntimeError, OSError):
                gpus = {"GPU": self.reserved.gpus} if self.reserved.gpus else {}
                request_resources(bundles=[{"CPU": self.reserved.cpus} | gpus] * workers)


class RemoteWorker:
    """One worker, where it runs. What a task loads stays in its process between items."""

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


def _how(error: RayError) -> str:
    """Ray's last line says how a worker ended; its first sentence is enough.

    Of one that could not be made at all, as on a node without bneck, the head says where.
    """
    text = str(error).strip()
    detail = text.splitlines()[-1].rpartition("Worker exit detail: ")[2]
    node = re.search(r"creation task.*\bip=([^,)]+)", text)
    where = f" (node {node[1]})" if node else ""
    return f"its worker was lost: {detail.split('. ')[0].rstrip('.')}{where}"
