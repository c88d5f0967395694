"""What is computed of the pixels of many squares: digests, statistics, other sides."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from bneck.errors import UsageError
from bneck.machine import memory_bytes
from bneck.proxies.data.squares.decode_worker import digest
from bneck.units import byte_size

CHUNK = 1024
"""Images that are worked on at a time."""


def digest_rows(images: Tensor) -> NDArray[np.uint8]:
    """uint8 (N, C, H, W) -> uint8 (N, 16): equal where pixels are."""
    found = b"".join(digest(image.numpy()) for image in images)
    return np.frombuffer(found, np.uint8).reshape(len(images), -1)


def numbered(digests: NDArray[np.uint8]) -> Tensor:
    """uint8 (N, 16) -> int64 (N,): the same number for equal rows."""
    rows = np.ascontiguousarray(digests).view(np.dtype((np.void, digests.shape[1]))).ravel()
    return torch.from_numpy(np.unique(rows, return_inverse=True)[1].astype(np.int64))


def histogram(pixels: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) -> int64 (3, 256): how often each value is there, by channel."""
    return torch.stack(
        [torch.bincount(channel.flatten(), minlength=256) for channel in pixels.unbind(1)]
    )


def statistics(counts: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std) of pixels with these ``histogram`` counts, on the scale 0 to 1."""
    share = counts.double() / counts.sum(1, keepdim=True)
    value = torch.arange(256, dtype=torch.float64) / 255
    mean = share @ value
    std = (share @ value.square() - mean.square()).clamp_min(0).sqrt().clamp_min(1 / 255)
    return tuple(mean.tolist()), tuple(std.tolist())


def fit_square(images: Tensor, side_px: int) -> Tensor:
    """uint8 (N, C, H, W) -> (N, C, side, side): the centred square, resized with antialiasing."""
    height, width = images.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = images[..., top : top + side, left : left + side]
    if side == side_px:
        return square
    check_memory(len(images), side_px)
    size = (side_px, side_px)
    chunks = [
        interpolate(chunk, size, mode="bilinear", antialias=True)
        for chunk in torch.split(square, CHUNK)
    ]
    return torch.cat(chunks)


def check_memory(count: int, side_px: int) -> None:
    """Raise UsageError for images that would fill more than half of this machine's memory."""
    needed = count * 3 * side_px**2
    half = memory_bytes() // 2
    if needed > half:
        raise UsageError(
            f"{count} images at {side_px} px need {byte_size(needed)} of memory and at most "
            f"{byte_size(half)} may be used here; choose a smaller resolution or fewer images"
        )
