"""Connecting to a Ray cluster, or to a Ray that is started on this machine."""

import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Any

import ray
from ray._private import worker
from ray._private.services import canonicalize_bootstrap_address
from ray.exceptions import RayError, RayTaskError
from ray.util.client import ray as client

from bneck import live
from bneck.errors import BneckError, UsageError
from bneck.executors import REMOTE, reason

ANSWER_SECONDS = 10.0
SECONDS_BETWEEN_LOOKS = 5.0
"""Seconds between two checks that the cluster's head is there, while nothing else is to do."""
SILENT_SECONDS = 30.0
"""Longest silence of the head: after 60 s Ray would end this process without a message."""
_address = "auto"
"""What ``connect`` has connected to; "auto" without that, also where the program has connected."""
TOKEN = "a cluster with token authentication needs RAY_AUTH_MODE=token here too"


def connect(address: str, cpus: int | None) -> bool:
    """Connect, unless the program has connected to a Ray already; return whether it had not.

    Args:
        address: ``auto``, ``local`` or ``ray://HOST:PORT``.
        cpus: that a Ray of this machine may use; None is all.

    Raises:
        UsageError: no cluster answers there.
        BneckError: Ray does not start on this machine.
    """
    global _address
    if ray.is_initialized():
        return False
    hint = _check(address)
    with _own_sigterm_kept(), _losses_not_printed():
        _connect(address, cpus, hint)
    _address = address
    return True


def connected_to() -> str:
    """Return the address of the connection that ``connect`` has made, else ``auto``."""
    return _address


def disconnect() -> None:
    """End the connection that ``connect`` has made."""
    global _address
    _address = "auto"
    with live.interrupts_wait():  # Ray ends a process that goes on after half of it
        ray.shutdown()


def nodes() -> list[dict[str, float]]:
    """Return the resources of every node that is up."""
    found = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in found if node["Alive"]]


def _check(address: str) -> str:
    """What may help where no cluster is found there."""
    if address == "local":
        return ""
    if address == "auto" and REMOTE.fullmatch(elsewhere := os.environ.get("RAY_ADDRESS", "")):
        address = elsewhere  # which Ray takes for "auto"
    if address == "auto":
        hint = f"start one with `ray start --head`, or name it as ray://HOST:PORT; {TOKEN}"
        logging.getLogger("ray").setLevel(logging.ERROR)  # as ``_connect`` does
        with suppress(OSError, ValueError):  # which Ray says when it connects
            place = canonicalize_bootstrap_address(address)
            if place is not None:
                _check_answers(place, *_parted(place), hint)
        return hint
    match = REMOTE.fullmatch(address)
    assert match is not None  # by executors.check
    hint = f"is it up, and is this its client port (10001 unless said)? {TOKEN}"
    _check_answers(address, match[1], int(match[2]), hint)
    return hint


def _connect(address: str, cpus: int | None, hint: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        try:
            ray.init("local", num_cpus=cpus, include_dashboard=False, **quiet)
        except Exception as error:  # Ray raises plain Exception where its own processes time out
            raise BneckError(f"Ray does not start on this machine: {reason(error)}") from None
        return
    try:
        ray.init(address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        if str(error).startswith("Version mismatch"):  # in seven lines
            versions = " ".join(str(error).split())
            raise UsageError(f"{address} needs the cluster's Python and Ray: {versions}") from None
        raise UsageError(f"no Ray cluster at {address} ({_why(error)}); {hint}") from None


class Head:
    """The head of the cluster that this process is connected to.

    It is asked by TCP: most of Ray's own calls wait for a head that is gone, where no Ctrl-C
    reaches them, until Ray ends the process.
    """

    def __init__(self, address: str) -> None:
        """Find where it listens; one that another program's connection leads to is not asked.

        Args:
            address: ``auto``, ``local`` or ``ray://HOST:PORT``.
        """
        self._place: tuple[str, int] | None = None
        self._silent_since: float | None = None
        self._looked_s = -inf
        if match := REMOTE.fullmatch(address):
            self._place = match[1], int(match[2])
        elif not client.is_connected():  # type: ignore[no-untyped-call]
            self._place = _parted(ray.get_runtime_context().gcs_address)

    def is_there(self) -> bool:
        """Whether it answers; one that does not is asked again after ``SECONDS_BETWEEN_LOOKS``."""
        now = time.monotonic()
        if self._place is None:
            return ray.is_initialized()
        if self._silent_since is not None and now < self._looked_s + SECONDS_BETWEEN_LOOKS:
            return False
        try:
            socket.create_connection(self._place, timeout=SECONDS_BETWEEN_LOOKS).close()
            self._silent_since = None
        except OSError:
            self._looked_s = time.monotonic()
            if self._silent_since is None:
                self._silent_since = now
                live.warn(
                    f"the Ray cluster's head ({self._place[0]}) does not answer: it is waited for "
                    f"{SILENT_SECONDS:g} s"
                )
        return self._silent_since is None and ray.is_initialized()

    def check(self) -> bool:
        """Whether it answers.

        Raises:
            BneckError: it has not for ``SILENT_SECONDS``.
        """
        if self.is_there():
            return True
        if self._silent_since is None or time.monotonic() - self._silent_since >= SILENT_SECONDS:
            raise self._lost()
        return False

    @contextmanager
    def needed(self) -> Iterator[None]:
        """Ask Ray for something in this block; not where it would connect anew to ask.

        Raises:
            BneckError: the connection is gone.
        """
        if not ray.is_initialized():
            raise self._lost()
        try:
            yield
        except Exception as error:  # a client's has many kinds; a task's has its cause's kind too
            cut_off = isinstance(error, ConnectionError) and not isinstance(error, RayTaskError)
            if cut_off or not ray.is_initialized():
                raise self._lost() from None
            raise

    def _lost(self) -> BneckError:
        where = "" if self._place is None else f" ({self._place[0]})"
        return BneckError(
            f"the Ray cluster's head{where} is lost; run the same command to resume, on any cluster"
        )


def _why(error: Exception) -> str:
    """In one line; a client's ends with the last line of what went wrong on the head."""
    said = reason(error)
    return f"{said} {str(error).strip().splitlines()[-1]}" if said.endswith(":") else said


@contextmanager
def _own_sigterm_kept() -> Iterator[None]:
    """Keep the command's own way with SIGTERM: Ray's handler would end it without a word."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is live.interrupt:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _losses_not_printed() -> Iterator[None]:
    """Keep a Ray that connects in this block from printing 700 characters for each lost worker.

    They are no logs to Ray. The pool counts the losses, and says why an item failed.
    """
    before: Any = getattr(worker, "listen_error_messages", None)  # Ray's own: another may lack it
    worker.listen_error_messages = lambda *_: None
    try:
        yield
    finally:
        worker.listen_error_messages = before


def _parted(place: str) -> tuple[str, int]:
    """The host and port of a head's address, as Ray writes it."""
    host, _, port = place.rpartition(":")
    return host.strip("[]"), int(port)


def _check_answers(address: str, host: str, port: int, hint: str) -> None:
    """Ray itself tries for half a minute or, where the head is gone, for many minutes."""
    try:
        socket.create_connection((host, port), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"no Ray cluster answers at {address} ({error}); {hint}") from None
