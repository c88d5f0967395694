"""Where a training's squares are read from: memory, the GPU, or a thread that reads ahead."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch
from torch import Tensor

from bneck.machine import gpu_share
from bneck.proxies.data.image_part import ImagePart

_SHARE = 0.4  # of a process's free part of a GPU's memory that squares may take


class DeviceSquares(Protocol):
    """Gives a batch's squares on the training's device."""

    def read(self, rows: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """Return squares, uint8 (N, 3, side, side), and the rows among them of the batch (B,).

        Of several processes that train together, one need only find its own part of the batch.

        Args:
            rows: int64 (B,), the batch's numbers in the training part.
            ahead: those of the batch after it.
        """


class InMemory:
    """DeviceSquares where they are."""

    def __init__(self, part: ImagePart) -> None:
        self._part = part

    def read(self, rows: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """Return all squares."""
        return self._part.squares, self._part.rows[rows]


class Resident:
    """A part's squares, copied to a device once."""

    def __init__(self, part: ImagePart, device: torch.device) -> None:
        whole = torch.empty(len(part), *part.squares.shape[1:], dtype=torch.uint8, device=device)
        start = 0
        for pixels, _ in part.chunks(1024):
            whole[start : start + len(pixels)] = pixels.to(device)
            start += len(pixels)
        self._squares = whole

    def read(self, rows: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """Return all squares."""
        return self._squares, rows


class ReadAhead:
    """A batch's own squares alone, copied to a device while the batch before it is trained on."""

    def __init__(self, part: ImagePart, device: torch.device, own: slice) -> None:
        self._part, self._device, self._own = part, device, own
        self._thread = ThreadPoolExecutor(1, "read-ahead")
        self._waiting: tuple[Tensor, Future[Tensor]] | None = None

    def read(self, rows: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """Return the batch's own squares, and begin to read the next ones; other rows are 0."""
        wanted, next_ = rows[self._own], ahead[self._own]
        if self._waiting is not None and torch.equal(self._waiting[0], wanted):
            squares = self._waiting[1].result()
        else:
            squares = self._squares(wanted)
        self._waiting = next_, self._thread.submit(self._squares, next_)
        places = torch.zeros_like(rows)
        places[self._own] = torch.arange(len(wanted))
        return squares.to(self._device, non_blocking=True), places

    def _squares(self, rows: Tensor) -> Tensor:
        squares = self._part.pixels(rows)
        return squares.pin_memory() if self._device.type == "cuda" else squares


def squares_for(device: torch.device, part: ImagePart, own: slice) -> DeviceSquares:
    """Return the way to read a training part: on a GPU it is resident where it fits.

    Args:
        device: where squares are needed.
        part: the training part.
        own: which rows of each batch this process trains on.
    """
    if device.type == "cpu":
        return InMemory(part)
    torch.cuda.empty_cache()  # of what earlier trainings have freed, which counts as taken
    free, total = torch.cuda.mem_get_info(device)
    room = min(free, gpu_share() * total)
    if len(part) * part.squares[0].numel() <= _SHARE * room:
        return Resident(part, device)
    return ReadAhead(part, device, own)
