"""Which GPU of this machine each worker process uses, and what share of its memory."""

import os
from collections import Counter
from math import ceil

from bneck.errors import UsageError
from bneck.machine import GPU_SHARE

WORKERS_PER_GPU = 4
"""Default number: enough that the preparations of one overlap the training of another."""
VISIBLE = "CUDA_VISIBLE_DEVICES"


def gpus_for(device: str) -> int:
    """Return how many GPUs of this machine a ``Compute.device`` lets workers use.

    Those whose driver is too old for torch are counted by the driver alone, and are none.
    """
    if device == "cpu":
        return 0
    import torch  # only to be asked for GPUs

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return min(count, 1) if ":" in device else count


def shares(device: str, workers: int) -> list[dict[str, str]]:
    """Return the environments of workers that share the GPUs evenly; empty without GPUs.

    Args:
        device: a ``Compute.device``; "cuda:N" is for all, "cuda" and "auto" spread over all GPUs.
        workers: how many processes.
    """
    count = gpus_for(device)
    if not count:
        return []
    places = [worker % count for worker in range(workers)]
    on_each = Counter(places)
    return [_only(device, place) | {GPU_SHARE: repr(1 / on_each[place])} for place in places]


def most_on_each(device: str, workers: int) -> int:
    """Return how many of these new workers share a GPU at most; 0 without GPUs.

    Args:
        device: as for ``shares``.
        workers: those that work at once.
    """
    count = gpus_for(device)
    return ceil(workers / count) if count else 0


def check_together(device: str, processes: int) -> None:
    """Raise UsageError where the device of processes that train together is one GPU."""
    if ":" in device:
        raise UsageError(f"--gpus {processes} needs --device cuda, auto or cpu, not {device}")


def one_each(device: str, processes: int) -> list[dict[str, str]]:
    """Return the environments of processes that train together, on a GPU each or on the CPU.

    Raises:
        UsageError: this machine has fewer GPUs, or the device names one of them.
    """
    check_together(device, processes)
    count = gpus_for(device)
    if not count:
        return [{} for _ in range(processes)]
    if processes > count:
        raise UsageError(f"--gpus is {processes}, but this machine has {count}")
    return [_only(device, place) for place in range(processes)]


def _only(device: str, place: int) -> dict[str, str]:
    """Show a process one of the GPUs that this one sees, unless the device names it."""
    if ":" in device:
        return {}
    visible = os.environ.get(VISIBLE)
    return {VISIBLE: visible.split(",")[place].strip() if visible else str(place)}
