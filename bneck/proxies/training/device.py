"""Which device a training runs on."""

import platform

import torch

from bneck.errors import UsageError


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
            f"{platform.node()}; use cpu or auto, or look at its driver with nvidia-smi"
        )
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        raise UsageError(f"device {word!r}: {platform.node()} has {count}, numbered from 0")
    return torch.device(
        "cuda", torch.cuda.current_device() if device.index is None else device.index
    )


def made_on(device: torch.device) -> dict[str, str]:
    """Return the kind of a device as "device", and a GPU's name as "card"."""
    if device.type == "cpu":
        return {"device": "cpu"}
    return {"device": device.type, "card": torch.cuda.get_device_name(device)}
