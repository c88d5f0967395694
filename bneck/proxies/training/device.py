"""Which device a training runs on."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from bneck.errors import DeviceLost, ProxyFailed, UsageError, first_line
from bneck.machine import Compute, cores, gpu_share
from bneck.proxies.training.memory import freed_memory_kept

LEAST_BYTES = 2**30
"""Least free memory of a GPU: CUDA itself takes half of that in each process."""


def torch_device(word: str) -> torch.device:
    """Return the device that a ``Compute.device`` names.

    Raises:
        UsageError: torch finds no such device on this machine.
    """
    if word == "auto":
        word = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(word)
    if device.type == "cpu":
        return device
    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without it"
        raise UsageError(
            f"device {word!r}: torch {torch.__version__} ({built}) finds no CUDA on "
            f"{platform.node()}; use cpu or auto, look at its driver with nvidia-smi, or where Ray "
            "started this, reserve GPUs with --gpus-per-trial"
        )
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        raise UsageError(f"device {word!r}: {platform.node()} has {count}, numbered from 0")
    return torch.device(
        "cuda", torch.cuda.current_device() if device.index is None else device.index
    )


def check_room(device: torch.device) -> None:
    """Raise UsageError where other programs have filled a GPU, before anything is trained there."""
    if device.type == "cpu":
        return
    try:
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError as error:  # there is no room for what CUDA itself needs to answer
        raise UsageError(
            f"{device} cannot be used: {first_line(error)}: nvidia-smi shows which programs use it"
        ) from None
    if free < LEAST_BYTES:
        raise UsageError(
            f"{device} has {free / 2**30:.1f} of {total / 2**30:.1f} GiB free; at least "
            f"{LEAST_BYTES / 2**30:g} are needed: nvidia-smi shows which programs use it"
        )


@contextmanager
def own_share(device: torch.device) -> Iterator[None]:
    """Take no more of a GPU's memory than this process's share; say in one line where that ends.

    Raises:
        ProxyFailed: out of memory, which is this training's end and not its neighbours'.
        UsageError: the GPU is too old, or too new, for this torch.
        DeviceLost: the GPU answers this process no more, as after an illegal memory access.
    """
    if device.type != "cpu" and gpu_share() < 1:
        torch.cuda.set_per_process_memory_fraction(gpu_share(), device)
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ProxyFailed(f"out of memory: {first_line(error)}") from error
    except RuntimeError as error:
        if device.type == "cpu":
            raise
        said = first_line(error)
        if "no kernel image" in said:
            raise UsageError(
                f"torch {torch.__version__} has no kernels for {device} ({said}): use --device "
                "cpu, or a torch that has"
            ) from None
        if _answers(device):
            raise
        raise DeviceLost(f"{device} answers no more: {said}") from error


def _answers(device: torch.device) -> bool:
    """Whether a GPU still works for this process: some errors end that for as long as it lives."""
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        return False
    return True


def give_back() -> None:
    """Let other processes have what this one has freed of a GPU's memory, and keeps for later."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def made_on(device: torch.device) -> dict[str, str]:
    """Return the kind of a device as "device", and a GPU's name as "card"."""
    if device.type == "cpu":
        return {"device": "cpu"}
    return {"device": device.type, "card": torch.cuda.get_device_name(device)}


@contextmanager
def computing(compute: Compute) -> Iterator[torch.device]:
    """Use the threads of ``compute`` inside the block; leave torch's random state as it was.

    Of a GPU's memory, no more is taken than this process's share.

    Yields:
        the device that ``compute`` names.

    Raises:
        UsageError: torch finds no such device on this machine, or has no kernels for it.
        ProxyFailed: memory runs out inside the block.
        DeviceLost: the GPU answers this process no more.
    """
    device = torch_device(compute.device)
    before = torch.get_num_threads()
    torch.set_num_threads(compute.threads or min(before, cores()))
    on_gpu = device.type == "cuda"
    try:
        with (
            own_share(device),
            torch.random.fork_rng(devices=[device] if on_gpu else []),
            torch.cuda.device(device) if on_gpu else nullcontext(),
            nullcontext() if on_gpu else freed_memory_kept(),
        ):
            yield device
    finally:
        torch.set_num_threads(before)
