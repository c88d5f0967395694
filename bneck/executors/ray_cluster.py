"""Connecting to a Ray cluster, or to a Ray that is started on this machine."""

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import RayError

from bneck import live
from bneck.errors import BneckError, UsageError
from bneck.executors import REMOTE, reason

ANSWER_SECONDS = 10.0
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
    hint = _check(address)
    if ray.is_initialized():
        return False
    with _own_sigterm_kept():
        _connect(address, cpus, hint)
    return True


def nodes() -> list[dict[str, float]]:
    """Return the resources of every node that is up."""
    found = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in found if node["Alive"]]


def _check(address: str) -> str:
    """What may help where no cluster is found there."""
    if address == "local":
        return ""
    if address == "auto":
        return f"start one with `ray start --head`, or name it as ray://HOST:PORT; {TOKEN}"
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
        raise UsageError(f"no Ray cluster at {address} ({reason(error)}); {hint}") from None


@contextmanager
def _own_sigterm_kept() -> Iterator[None]:
    """Keep the command's own way with SIGTERM: Ray's handler would end it without a word."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is live.interrupt:
            signal.signal(signal.SIGTERM, before)


def _check_answers(address: str, host: str, port: int, hint: str) -> None:
    """Ray itself tries for half a minute, and then says it in many lines."""
    try:
        socket.create_connection((host, port), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"no Ray cluster answers at {address} ({error}); {hint}") from None
