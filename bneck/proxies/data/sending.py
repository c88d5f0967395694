"""Sending what the CPU has drawn to the device that trains."""

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device, without waiting for what a GPU still has to do.

    From memory that is not pinned, the host would wait until the step before has ended, and then
    the GPU for the host.
    """
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
