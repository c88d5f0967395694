"""Labelled images in memory: the parts, their statistics and their splits."""

import hashlib
import os
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from bneck.errors import UsageError

SMALL_PX = 32  # five halvings of a mobile network leave one pixel
PHOTO_PX = 224
_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A training and a validation part, each one uint8 tensor in memory.

    ``val`` measures the final accuracy and nothing else: whatever *chooses* between networks works
    on ``for_search``, whose validation part is held out of ``train``.
    """

    name: str
    class_names: tuple[str, ...]
    train_images: Tensor  # uint8 (N, 3, side, side), side = resolution_px
    train_labels: Tensor  # int64 (N,), 0 to classes - 1
    val_images: Tensor  # uint8 (M, 3, side, side)
    val_labels: Tensor  # int64 (M,)
    default_resolution_px: int
    flip: bool = True  # whether a mirrored image still shows its class; not so for characters

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise UsageError(f"{self.name} has {self.classes} class; at least 2 are needed")
        for part, labels in (("training", self.train_labels), ("validation", self.val_labels)):
            if len(labels) == 0:
                raise UsageError(f"{self.name} has no {part} images")
            wrong = labels[(labels < 0) | (labels >= self.classes)]
            if len(wrong):
                raise UsageError(
                    f"{self.name}: {part} label {int(wrong[0])} is out of range; "
                    f"labels run from 0 to {self.classes - 1}"
                )

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def resolution_px(self) -> int:
        return self.train_images.shape[-1]

    @cached_property
    def _moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        counts = torch.zeros(3, 256, dtype=torch.int64)
        for chunk in torch.split(self.train_images, _CHUNK):
            for channel in range(3):
                counts[channel] += torch.bincount(chunk[:, channel].flatten(), minlength=256)
        share = counts.double() / counts.sum(1, keepdim=True)
        value = torch.arange(256, dtype=torch.float64) / 255
        mean = share @ value
        std = (share @ value.square() - mean.square()).clamp_min(0).sqrt().clamp_min(1 / 255)
        return tuple(mean.tolist()), tuple(std.tolist())

    @property
    def mean(self) -> tuple[float, ...]:
        """Of the training pixels, red, green and blue, on the scale 0 to 1."""
        return self._moments[0]

    @property
    def std(self) -> tuple[float, ...]:
        """Of the training pixels, as ``mean``; a constant channel counts as one grey level."""
        return self._moments[1]

    @cached_property
    def fingerprint(self) -> str:
        """12 hex digits of the content: pixels, labels, class names and ``flip``."""
        digest = hashlib.sha256(repr((self.class_names, self.flip)).encode())
        for images, labels in (
            (self.train_images, self.train_labels),
            (self.val_images, self.val_labels),
        ):
            digest.update(repr(tuple(images.shape)).encode())
            digest.update(labels.contiguous().numpy().data)
            for chunk in torch.split(images, _CHUNK):
                digest.update(chunk.contiguous().numpy().data)
        return digest.hexdigest()[:12]

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) -> float32 of zero mean and unit deviation, channels_last."""
        mean = torch.tensor(self.mean).view(1, 3, 1, 1) * 255
        std = torch.tensor(self.std).view(1, 3, 1, 1) * 255
        x = pixels.to(torch.float32, memory_format=torch.channels_last)
        return (x - mean).div_(std)

    def for_search(self, seed: int) -> "ImageSet":
        """The set on which networks are compared: its val is a stratified fifth of this train.

        This set's own val is left out altogether, so that the final accuracy stays honest.
        """
        held_out, kept = hold_out(self.train_labels, seed)
        return replace(
            self,
            train_images=self.train_images[kept],
            train_labels=self.train_labels[kept],
            val_images=self.train_images[held_out],
            val_labels=self.train_labels[held_out],
        )

    def subset(self, *, seed: int, train: int | None = None, val: int | None = None) -> "ImageSet":
        """At most so many images of each part, every class in proportion; None keeps all."""
        train_images, train_labels = _first(self.train_images, self.train_labels, train, seed)
        val_images, val_labels = _first(self.val_images, self.val_labels, val, seed)
        return replace(
            self,
            train_images=train_images,
            train_labels=train_labels,
            val_images=val_images,
            val_labels=val_labels,
        )

    def resized(self, resolution_px: int) -> "ImageSet":
        """The same images at another side, for accuracy signals that train smaller."""
        return replace(
            self,
            train_images=fit_square(self.train_images, resolution_px),
            val_images=fit_square(self.val_images, resolution_px),
        )


def hold_out(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """(rows to validate on, a fifth rounded up; rows to train on), every class in proportion."""
    order = stratified_order(labels, seed)
    held_out, kept = order.tensor_split([-(-len(order) // 5)])
    return held_out, kept


def stratified_order(labels: Tensor, seed: int) -> Tensor:
    """A seeded order of the rows, of which every beginning holds the classes in proportion."""
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    place = torch.empty(len(labels), dtype=torch.float64)
    for label in set(labels.tolist()):
        rows = (labels[shuffled] == label).nonzero().squeeze(1)
        place[rows] = (torch.arange(len(rows), dtype=torch.float64) + 0.5) / len(rows)
    return shuffled[place.argsort(stable=True)]


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
        for chunk in torch.split(square, _CHUNK)
    ]
    return torch.cat(chunks)


def check_memory(count: int, side_px: int) -> None:
    """Refuse a set of images that would fill more than half of this machine's memory."""
    needed = count * 3 * side_px**2
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    if needed > half:
        raise UsageError(
            f"{count} images at {side_px} px need {needed / 2**30:.1f} GB of memory and at most "
            f"{half / 2**30:.1f} GB may be used here; choose a smaller resolution or fewer images"
        )


def _first(images: Tensor, labels: Tensor, count: int | None, seed: int) -> tuple[Tensor, Tensor]:
    if count is None or count >= len(labels):
        return images, labels
    rows = stratified_order(labels, seed)[:count]
    return images[rows], labels[rows]
