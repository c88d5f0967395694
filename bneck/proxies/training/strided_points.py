"""Strided 1x1 convolutions of few channels, whose training on a CPU corrupts memory in oneDNN."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from bneck.proxies.training.forwards import forwards_replaced

_ENOUGH_CHANNELS = 16


@contextmanager
def strided_points_subsampled(network: nn.Module) -> Iterator[None]:
    """Let strided 1x1 convolutions of fewer than 16 channels train on the pixels that they read.

    Their outputs and gradients are the same. For channels_last tensors of float32, oneDNN's own
    gradient of such weights writes past the end of its memory (its issue 6035, found in 2026 and
    present in torch 2.14), which ends the process or spoils what lies there. MobileOne begins with
    one. After the block the network is as it was.
    """
    points = [one for one in network.modules() if isinstance(one, nn.Conv2d) and _overruns(one)]
    with forwards_replaced(points, _subsampled):
        yield


def _overruns(layer: nn.Conv2d) -> bool:
    return (
        layer.kernel_size == (1, 1)
        and layer.stride != (1, 1)
        and layer.padding == (0, 0)
        and layer.groups == 1
        and layer.in_channels < _ENOUGH_CHANNELS
    )


def _subsampled(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, out, H / stride, W / stride), as the layer itself computes it."""
    down, right = layer.stride
    read = x[:, :, ::down, ::right].contiguous(memory_format=torch.channels_last)
    return conv2d(read, layer.weight, layer.bias)
