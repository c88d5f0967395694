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
from ray.util.client import ray as client

from bneck import __version__, live
from bneck.errors import UsageError
from bneck.executors import Executor, Failed, reason
from bneck.executors.pool import START_SECONDS, WorkerPool
from bneck.executors.ray_cluster import (
    ANSWER_SECONDS,
    SECONDS_BETWEEN_LOOKS,
    Head,
    connect,
    connected_to,
    disconnect,
    nodes,
)
from bneck.executors.ray_worker import REMOTE_WORKER
from bneck.executors.reserved import ONE_CPU, Reserved
from bneck.executors.together import Together
from bneck.executors.worker import WorkerLost

SECONDS_UNTIL_SAID = 30.0
JUST_NOW_SECONDS = 0.01
"""A worker that answered since is there; to ask costs the driver half as much as all the rest."""


def on_ray(
    address: str,
    workers: int | None,
    *,
    reserved: Reserved = ONE_CPU,
    time_limit_s: float | None = None,
    device: str = "cpu",
    together: int = 0,
) -> Executor:
    """An executor of actors on Ray.

    Args:
        address: ``auto``, ``local`` or ``ray://HOST:PORT``.
        workers: None is as many as the cluster has room for, which may change while it works.
        reserved: what Ray keeps for each actor.
        time_limit_s: an item that takes longer fails.
        device: what items train on.
        together: workers of ``together_on_ray`` that a Ray of this machine must have CPUs for, too.

    Raises:
        UsageError: a malformed address, no cluster there, no node with so many CPUs or GPUs, or
            none with a GPU where the device is one.
    """
    kind = Actors(address, workers, reserved, device, together)
    return WorkerPool(kind, workers, time_limit_s=time_limit_s)


def together_on_ray(address: str, count: int, device: str) -> Executor:
    """An executor of ``count`` actors that share each item; they find each other by TCP.

    Args:
        address: ``auto``, ``local`` or ``ray://HOST:PORT``.
        count: of actors.
        device: what they train on: "auto" is a GPU each, where the cluster has any.

    Raises:
        UsageError: no cluster there, or one with fewer CPUs or GPUs.
    """
    kind = Actors(address, count, ONE_CPU, device)
    found = [(node.get("CPU", 0), node.get("GPU", 0)) for node in nodes()]
    if device != "cpu" and any(gpus for _, gpus in found):
        kind.reserved = Reserved(1.0, 1.0)
    room = sum(kind.reserved.fit(*one) for one in found)
    if room < count:
        kind.close()
        each = "a GPU and a CPU" if kind.reserved.gpus else "a CPU"
        raise UsageError(f"--gpus is {count}, but the cluster has room for {room}, each on {each}")
    return Together(kind, count, on_this_node)


def on_this_node(_: None) -> str:
    """Return a free port of this node, by which others may find it."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    return f"tcp://{ray.util.get_node_ip_address()}:{port}"  # type: ignore[no-untyped-call]


class Actor:
    """One worker, seen from the driver."""

    def __init__(self, reserved: Reserved, head: Head) -> None:
        self._head = head
        with head.needed():
            self._actor = REMOTE_WORKER.options(
                num_cpus=reserved.cpus, num_gpus=reserved.gpus, max_restarts=0
            ).remote(reserved.gpus)
            self.pending: ray.ObjectRef[Any] = self._actor.start.remote(__version__, os.getcwd())
        self.made_s, self._heard_s = time.monotonic(), -inf

    def give(self, task: Callable[[Any], Any], item: Any) -> None:
        """Raises WorkerLost where it was lost as it waited: Ray takes calls of what is no more."""
        with self._head.needed():
            if time.monotonic() > self._heard_s + JUST_NOW_SECONDS:
                try:
                    ray.get(self._actor.is_there.remote(), timeout=ANSWER_SECONDS)
                except RayError as error:
                    raise WorkerLost(_how(error)) from None
            self.pending = self._actor.run.remote(task, item)

    def answer(self) -> Any:
        try:
            with self._head.needed():
                answer = ray.get(self.pending)
            self._heard_s = time.monotonic()
            return answer
        except RayTaskError as error:
            return Failed(f"its result cannot travel: {reason(error.cause)}")
        except RayError as error:
            raise WorkerLost(_how(error)) from None

    @property
    def has_started(self) -> bool:
        """Whether it has answered once; Ray does not say whether one waits or starts."""
        return self._heard_s > -inf

    def is_running(self) -> bool:
        return False

    def kill(self) -> None:
        if self._head.is_there():  # or Ray would wait for it
            ray.kill(self._actor)


class Actors:
    """Workers that are actors. A Ray that the program had connected to already is left as it is."""

    def __init__(
        self,
        address: str,
        workers: int | None,
        reserved: Reserved,
        device: str,
        together: int = 0,
    ) -> None:
        self.reserved, self._wanted, self._room = reserved, 0, 1
        self._said = self._some_answered = False
        self._asking: list[ray.ObjectRef[Any]] = []  # on a cluster elsewhere, a task of it
        cpus = None if workers is None else max(1, together, ceil(workers * reserved.cpus))
        self._connected = connect(address, cpus)
        self._head = Head(connected_to())  # by an earlier executor of the same command, too
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
        if self._head.check():
            with self._head.needed():
                fit = self.reserved.fit
                fits = (fit(node.get("CPU", 0), node.get("GPU", 0)) for node in nodes())
                self._room = max(1, sum(fits))
                if wanted > self._room or wanted < self._wanted:
                    self._ask_for_nodes(wanted)
        return self._room

    def start(self) -> Actor:
        return Actor(self.reserved, self._head)

    def wait(self, workers: Sequence[Actor], seconds: float | None) -> Sequence[Actor]:
        by_pending = {worker.pending: worker for worker in workers}
        until = inf if seconds is None else time.monotonic() + seconds
        while True:
            left_s = max(0.0, until - time.monotonic())
            some_s = min(left_s, SECONDS_BETWEEN_LOOKS)
            with self._head.needed():
                done, _ = ray.wait(list(by_pending), num_returns=1, timeout=some_s)
            if done:
                self._some_answered = True
            else:
                self._say_that_all_wait(workers)
            if done or some_s == left_s:
                return [by_pending[pending] for pending in done]
            self._head.check()

    def _say_that_all_wait(self, workers: Sequence[Actor]) -> None:
        """Say, once, what is waited for where none of these workers has started for long."""
        waiting_s = [one.made_s for one in workers if not one.has_started]
        now = time.monotonic()
        if self._said or not waiting_s or len(waiting_s) < len(workers):
            return
        if now - min(waiting_s) >= SECONDS_UNTIL_SAID:
            self._said = True
            none = "some workers have not" if self._some_answered else "no worker has"
            live.warn(
                f"{none} started for {SECONDS_UNTIL_SAID:g} s; perhaps others use the cluster's "
                f"CPUs or GPUs: waiting for up to {START_SECONDS:g} s"
            )

    def close(self) -> None:
        if ray.is_initialized() and self._wanted and self._head.is_there():
            self._ask_for_nodes(0)
            with suppress(RayError):  # or it would end with the connection
                ray.get(self._asking, timeout=ANSWER_SECONDS)
        if self._connected:
            disconnect()

    def _ask_for_nodes(self, workers: int) -> None:
        """Tell Ray's autoscaler, from where the cluster's head is reached.

        A task that tells it begins after the last one, whose None is its first argument.
        """
        if workers == self._wanted:
            return
        self._wanted = workers
        gpus = {"GPU": self.reserved.gpus} if self.reserved.gpus else {}
        bundles = [{"CPU": self.reserved.cpus} | gpus] * workers
        with suppress(RayError, RuntimeError, OSError):  # one without an autoscaler takes no notice
            if client.is_connected():  # type: ignore[no-untyped-call]
                # The task is a function of Ray's own: a node may lack bneck.
                ask: Any = ray.remote(num_cpus=0)(request_resources)
                self._asking = [ask.remote(*self._asking, bundles=bundles)]
            else:
                request_resources(bundles=bundles)


def _how(error: RayError) -> str:
    """Ray's last line says how a worker ended; its first sentence is enough.

    Of one that could not be made at all, as on a node without bneck, the head says where.
    """
    text = str(error).strip()
    detail = text.splitlines()[-1].rpartition("Worker exit detail: ")[2]
    node = re.search(r"creation task.*\bip=([^,)]+)", text)
    where = f" (node {node[1]})" if node else ""
    return f"its worker was lost: {detail.split('. ')[0].rstrip('.')}{where}"
