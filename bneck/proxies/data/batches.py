"""Training batches that depend on nothing but (seed, step), so that a training can resume."""

import hashlib

import torch
from torch import Tensor

from bneck.errors import UsageError
from bneck.proxies.data.augmentation import CROP_BY_WORD, mixed, random_erasing
from bneck.proxies.data.augmentation_words import AUGMENTATION, MIXES, check_augmentation
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.row_order import balanced_order
from bneck.proxies.data.sending import sent
from bneck.proxies.data.squares_on_device import squares_for

_CPU = torch.device("cpu")


class Batches:
    """``batches[step]`` is (float32 (B, 3, H, W) normalised and channels_last, labels).

    Labels are int64 (B,), or, where images are mixed, shares of the classes, float32 (B, classes).
    Every epoch is a permutation of its own, or a balanced order; what does not fill a batch at its
    end is left out.

    Args:
        images: their training part is used.
        batch_size: at most; a smaller set is one batch.
        seed: decides order and augmentation.
        augmentation: words of ``AUGMENTATIONS`` joined by "+".
        balanced: show all classes equally often instead of every image once in an epoch.
        rank, processes: which equal slice of every batch is wanted.
        device: where batches are needed; squares that fit into a GPU are kept there.

    Raises:
        UsageError: too few images, or a batch that cannot be divided by the processes.
    """

    def __init__(
        self,
        images: ImageSource,
        batch_size: int,
        seed: int,
        augmentation: str = AUGMENTATION,
        *,
        balanced: bool = False,
        rank: int = 0,
        processes: int = 1,
        device: torch.device = _CPU,
    ) -> None:
        self.images = images
        self.batch_size = min(batch_size, len(images.train))
        if self.batch_size < 2:
            raise UsageError(f"{images.info.name} has too few training images for a batch of 2")
        self.steps_per_epoch = len(images.train) // self.batch_size
        self._words = check_augmentation(augmentation)
        self._crop = next(CROP_BY_WORD[word] for word in self._words if word in CROP_BY_WORD)
        self._mixes = tuple(word for word in self._words if word in MIXES)
        check_divides(self.batch_size, processes, augmentation)
        each = self.batch_size // processes
        self._own = slice(rank * each, (rank + 1) * each)
        self._squares = squares_for(device, images.train, self._own)
        self._seed, self._balanced = seed, balanced
        self._orders: dict[int, Tensor] = {}

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        train, own, size = self.images.train, self._own, self.batch_size
        rows = self._rows(step)  # (B,)
        draw = seeded(self._seed, 1, step)
        flip = self.images.info.flip
        squares, places = self._squares.read(rows, self._rows(step + 1))
        pixels = self._crop(squares, places, flip, draw, own)  # uint8 (b, 3, H, W)
        if "trivial-augment" in self._words:
            from bneck.proxies.data.trivial_augment import trivial_augment

            pixels = trivial_augment(pixels, size, draw, own)
        x = self.images.normalise(pixels)  # float32
        if "random-erasing" in self._words:
            x = random_erasing(x, size, draw, own)
        labels = sent(train.labels[rows[own]], x.device)
        if self._mixes:
            return mixed(x, labels, self.images.info.classes, self._mixes, draw)
        return x, labels

    def _rows(self, step: int) -> Tensor:
        """Return the places in the training part that a step sees: (B,)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return self._order(epoch)[place * self.batch_size :][: self.batch_size]

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            draw = seeded(self._seed, 0, epoch)
            if self._balanced:
                order = balanced_order(self.images.train.labels, draw)
            else:
                order = torch.randperm(len(self.images.train), generator=draw)
            last = {epoch - 1: self._orders[epoch - 1]} if epoch - 1 in self._orders else {}
            self._orders = {**last, epoch: order}
        return self._orders[epoch]


def check_divides(batch_size: int, processes: int, augmentation: str) -> None:
    """Raise UsageError for a batch that processes which train together cannot share evenly.

    Args:
        batch_size: images in the batch.
        processes: how many there are.
        augmentation: words of ``AUGMENTATIONS`` joined by "+"; some mix two images of a slice.
    """
    each, left_over = divmod(batch_size, processes)
    mixes = any(word in MIXES for word in check_augmentation(augmentation))
    if left_over or (processes > 1 and mixes and each % 2):
        even = " into even parts" if mixes else ""
        raise UsageError(
            f"a batch of {batch_size} cannot be divided by {processes} processes{even}"
        )


def seeded(*numbers: int) -> torch.Generator:
    """Return a generator of its own for each tuple of numbers."""
    digest = hashlib.sha256(repr(numbers).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
