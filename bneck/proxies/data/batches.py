"""Training batches that depend on nothing but (seed, step), so that a run can stop and go on."""

import hashlib

import torch
from torch import Tensor

from bneck.errors import UsageError
from bneck.proxies.data.image_source import ImageSource


class Batches:
    """``batches[step]`` is (float32 (B, 3, H, W) normalised and channels_last, int64 (B,)).

    Every epoch is a permutation of its own; what does not fill a batch at its end is left out.
    Each image is shifted by up to an eighth of its side, the border mirrored, and flipped half of
    the time where the set allows it.
    """

    def __init__(self, images: ImageSource, batch_size: int, seed: int) -> None:
        self.images = images
        self.batch_size = min(batch_size, len(images.train))
        if self.batch_size < 2:
            raise UsageError(f"{images.info.name} has too few training images for a batch of 2")
        self.steps_per_epoch = len(images.train) // self.batch_size
        self._seed = seed
        self._epoch = -1
        self._order = torch.empty(0)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order = torch.randperm(
                len(self.images.train), generator=seeded(self._seed, 0, epoch)
            )
            self._epoch = epoch
        rows = self._order[place * self.batch_size :][: self.batch_size]
        train = self.images.train
        pixels = _shifted(
            train.squares, train.rows[rows], self.images.info.flip, seeded(self._seed, 1, step)
        )
        return self.images.normalise(pixels), train.labels[rows]


def seeded(*numbers: int) -> torch.Generator:
    """A generator of its own for each tuple of numbers."""
    digest = hashlib.sha256(repr(numbers).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _shifted(images: Tensor, rows: Tensor, flip: bool, generator: torch.Generator) -> Tensor:
    """Gather the shifted and flipped images straight into channels_last: uint8 (B, 3, H, W)."""
    side = images.shape[-1]
    reach = side // 8
    shift = torch.randint(-reach, reach + 1, (2, len(rows), 1), generator=generator)
    y, x = (_mirrored(torch.arange(side) + part, side) for part in shift)
    if flip:
        flipped = torch.rand(len(rows), 1, generator=generator) < 0.5
        x = torch.where(flipped, x.flip(1), x)
    gathered = images[rows[:, None, None], :, y[:, :, None], x[:, None, :]]  # (B, H, W, 3)
    return gathered.permute(0, 3, 1, 2)


def _mirrored(position: Tensor, side: int) -> Tensor:
    return (side - 1) - ((side - 1) - position.abs()).abs()
