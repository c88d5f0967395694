"""One training in several processes, each of which trains on its slice of every batch.

The processes are those of ``torch.distributed``'s default group, which ``joined`` sets up. Without
a group there is one process, and nothing here does anything.
"""

import fcntl
import os
import socket
import struct
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from bneck.errors import BneckError
from bneck.proxies.training.forwards import forwards_replaced

BACKEND = "cpu:gloo,cuda:nccl"
_INTERFACE = "GLOO_SOCKET_IFNAME"
_SIOCGIFADDR = 0x8915
"""Asks Linux for the address of a network interface."""
REACHED_SECONDS = 300.0
"""Longest time until the first process is reached; it imports as much as the others do."""


def rank() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if _several() else 0


def processes() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if _several() else 1


@contextmanager
def joined(rank: int, count: int, store: str) -> Iterator[None]:
    """Be one of the processes that train together inside the block, once all have joined.

    Tensors on CPUs travel by gloo, those on GPUs by NCCL.

    Args:
        rank: the number of this process, from 0.
        count: of processes.
        store: where they find each other: ``tcp://HOST:PORT``, or a file's path on one machine.

    Raises:
        BneckError: another machine's firewall, or the network, keeps this one from the first.
    """
    backend = BACKEND if torch.cuda.is_available() else "gloo"
    if store.startswith("tcp:"):
        meeting = urlsplit(store)
        host, port = str(meeting.hostname), meeting.port or 0
        if rank > 0:
            _check_reached(host, port)
        name = interface_to(host, port)
        if name is not None:  # gloo would take that of our name, which may be the loopback
            os.environ.setdefault(_INTERFACE, name)
        distributed.init_process_group(backend, init_method=store, rank=rank, world_size=count)
    else:
        if sys.platform == "linux":  # gloo need not ask for our name
            os.environ.setdefault(_INTERFACE, "lo")
        file = distributed.FileStore(store, count)  # type: ignore[attr-defined]
        distributed.init_process_group(backend, store=file, rank=rank, world_size=count)
    yield
    # Not where the block failed: the others would fail too, for no reason but that.
    distributed.destroy_process_group()


def _check_reached(host: str, port: int) -> None:
    """Wait until the first process listens; torch would try for half an hour, and not say why."""
    until, why = time.monotonic() + REACHED_SECONDS, "no answer"
    while (left_s := until - time.monotonic()) > 0:
        try:
            socket.create_connection((host, port), timeout=left_s).close()
            return
        except OSError as error:
            why = error.strerror or str(error)
        time.sleep(min(1.0, left_s))
    raise BneckError(
        f"cannot reach the first of the processes that train together, {host}:{port}, within "
        f"{REACHED_SECONDS:g} s ({why}): nodes must reach each other on any TCP port"
    )


def interface_to(host: str, port: int) -> str | None:
    """Return the name of this machine's network interface that leads to another machine.

    None where it cannot be told, as on systems other than Linux.

    Args:
        host: the other machine, or this one.
        port: of the other machine; nothing is sent there.
    """
    with suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))
        own = socket.inet_aton(probe.getsockname()[0])
        for _, name in socket.if_nameindex() if sys.platform == "linux" else ():
            with suppress(OSError):  # it has no address
                asked = struct.pack("40s", name.encode())
                if fcntl.ioctl(probe, _SIOCGIFADDR, asked)[20:24] == own:
                    return name
    return None


def is_cut_off(error: RuntimeError) -> bool:
    """Return whether an error says that another process of the group does not answer."""
    return isinstance(error, distributed.DistError) or "gloo/" in str(error)


@contextmanager
def in_parallel(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the module to train: gradients are averaged, batch norms see the whole batch.

    After the block ``network`` is as it was, but for its weights and buffers.
    """
    if processes() == 1:
        yield network
        return
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    synced = forwards_replaced(norms, _synced_batch_norm)  # nn.SyncBatchNorm is for GPUs only
    with synced, warnings.catch_warnings():
        # depthwise weights have one layout under two names
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        yield DistributedDataParallel(network)


def in_any_process(asked: bool) -> bool:
    """Return whether any process asks; all must call this together."""
    return asked if processes() == 1 else bool(_summed(torch.tensor(float(asked))) > 0)


def of_each_process(own: int) -> list[int]:
    """Return the numbers of all processes, the first one's first; all must call this together."""
    if processes() == 1:
        return [own]
    every = torch.zeros(processes(), dtype=torch.int64)
    every[rank()] = own
    return [int(one) for one in _summed(every)]


def wait_for_all() -> None:
    """Wait until all processes have called this."""
    in_any_process(False)


def mean_over_processes(loss: Tensor) -> float:
    """Return the batch's mean loss, from the mean over each process's slice."""
    return loss.item() if processes() == 1 else _summed(loss.double()).item() / processes()


def own_rows(count: int) -> Tensor:
    """Return which of ``count`` images this process evaluates: (about count / processes,)."""
    return torch.arange(rank(), count, processes())


def gathered(own: Tensor, count: int) -> Tensor:
    """Return (k, count) values of which each process has computed those of its ``own_rows``."""
    if processes() == 1:
        return own
    every = torch.zeros(len(own), count, dtype=own.dtype)
    every[:, own_rows(count)] = own
    distributed.all_reduce(every)
    return every


def _summed(own: Tensor) -> Tensor:
    """Return the sum over all processes."""
    total = own.clone()
    distributed.all_reduce(total)
    return total


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()


class _Sum(torch.autograd.Function):
    """The sum over all processes; the gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _summed(grad)


def _synced_batch_norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Batch norm by the mean and variance of all processes' (B, C, H, W) together."""
    if not norm.training:
        return nn.BatchNorm2d.forward(norm, x)
    count = x.numel() // x.shape[1] * processes()
    x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    mean = _Sum.apply(x.sum((0, 2, 3))) / count  # (C,)
    centred = x - mean[:, None, None]
    variance = _Sum.apply(centred.square().sum((0, 2, 3))) / count  # (C,)
    with torch.no_grad():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        assert norm.momentum is not None
        norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (count / max(1, count - 1)), norm.momentum)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)  # (C,)
    y: Tensor = centred * scale[:, None, None] + norm.bias[:, None, None]
    return y
