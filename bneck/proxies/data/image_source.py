"""Labelled images by row number: the two parts of a set, its splits and its views."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from bneck.errors import UsageError
from bneck.proxies.data.image_info import ImageInfo, held_out

_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class ImagePart:
    """The training or the validation images of a set: rows of squares that all views share.

    Attributes:
        squares: uint8 (N, 3, side, side), in memory or mapped from a file; never copied whole.
        rows: int64 (n,), the squares that belong to this part, in the part's order.
        labels: int64 (n,), 0 to classes - 1.
    """

    squares: Tensor
    rows: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def pixels(self, which: Tensor | None = None) -> Tensor:
        """Copy the squares of the part's images numbered ``which``: uint8 (k, 3, side, side)."""
        return self.squares[self.rows if which is None else self.rows[which]]

    def chunks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (pixels, labels) of at most ``size`` images at a time, in order."""
        for rows, labels in zip(self.rows.split(size), self.labels.split(size), strict=True):
            yield self.squares[rows], labels

    def take(self, which: Tensor) -> "ImagePart":
        """The part's images numbered ``which``, as a part; no pixel is copied."""
        return ImagePart(self.squares, self.rows[which], self.labels[which])

    def first(self, count: int | None, seed: int) -> "ImagePart":
        """At most ``count`` images, every class in proportion; None keeps all."""
        if count is None or count >= len(self):
            return self
        return self.take(stratified_order(self.labels, seed)[:count])


@dataclass(frozen=True, eq=False)
class ImageSource:
    """A set of images: its facts, and its pixels by row numbers.

    ``val`` measures the final accuracy and nothing else: whatever *chooses* between networks works
    on ``for_search``, whose validation part is held out of ``train``.
    """

    info: ImageInfo
    train: ImagePart
    val: ImagePart

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) -> float32 (B, 3, H, W) by the set's mean and std, channels_last."""
        mean = torch.tensor(self.info.mean).view(1, 3, 1, 1) * 255
        std = torch.tensor(self.info.std).view(1, 3, 1, 1) * 255
        x = pixels.to(torch.float32, memory_format=torch.channels_last)
        return (x - mean).div_(std)

    def normalised_with(self, mean: Sequence[float], std: Sequence[float]) -> "ImageSource":
        """The same images for weights that were trained with this mean and deviation."""
        return replace(self, info=replace(self.info, mean=tuple(mean), std=tuple(std)))

    def for_search(self, seed: int) -> "ImageSource":
        """The set on which networks are compared: its val is a stratified fifth of this train.

        This set's own val is left out altogether, so that the final accuracy stays honest.
        """
        chosen, kept = hold_out(self.train.labels, seed)
        return self._view(self.train.take(kept), self.train.take(chosen))

    def subset(
        self, *, seed: int, train: int | None = None, val: int | None = None
    ) -> "ImageSource":
        """At most so many images of each part, every class in proportion; None keeps all."""
        return self._view(self.train.first(train, seed), self.val.first(val, seed))

    def resized(self, resolution_px: int) -> "ImageSource":
        """The same images at another side, held in memory, for proxies that train smaller."""
        parts = (_resized(self.train, resolution_px), _resized(self.val, resolution_px))
        return self._view(*parts, resolution_px)

    def _view(
        self, train: ImagePart, val: ImagePart, resolution_px: int | None = None
    ) -> "ImageSource":
        """Parts of this set, normalised as the whole is."""
        digest = hashlib.sha256(repr((self.info.fingerprint, resolution_px)).encode())
        for part in (train, val):
            digest.update(part.rows.numpy().data)
        info = replace(
            self.info,
            resolution_px=resolution_px or self.info.resolution_px,
            training=len(train),
            validation=len(val),
            fingerprint=digest.hexdigest()[:12],
        )
        return ImageSource(info, train, val)


def in_memory(
    name: str,
    class_names: Sequence[str],
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    *,
    flip: bool = True,
) -> ImageSource:
    """Images that are tensors already.

    Args:
        name: what errors call the set.
        class_names: one for each label.
        train, val: squares, uint8 (N, 3, side, side), and labels, int64 (N,).
        flip: whether a mirrored image still shows its class.

    Raises:
        UsageError: fewer than two classes, a part without images, a label without a class.
    """
    parts = [
        ImagePart(images, torch.arange(len(images)), labels) for images, labels in (train, val)
    ]
    check_labels(name, len(class_names), parts[0].labels, parts[1].labels)
    mean, std = statistics(parts[0])
    info = ImageInfo(
        name=name,
        class_names=tuple(class_names),
        resolution_px=train[0].shape[-1],
        mean=mean,
        std=std,
        flip=flip,
        training=len(parts[0]),
        validation=len(parts[1]),
        fingerprint=_content((tuple(class_names), flip), parts),
    )
    return ImageSource(info, *parts)


def check_labels(name: str, classes: int, train: Tensor, val: Tensor) -> None:
    """Raise UsageError unless there are two classes, images in both parts, and labels in range."""
    if classes < 2:
        raise UsageError(f"{name} has {classes} class; at least 2 are needed")
    for part, labels in (("training", train), ("validation", val)):
        if len(labels) == 0:
            raise UsageError(f"{name} has no {part} images")
        wrong = labels[(labels < 0) | (labels >= classes)]
        if len(wrong):
            raise UsageError(
                f"{name}: {part} label {int(wrong[0])} is out of range; "
                f"labels run from 0 to {classes - 1}"
            )


def statistics(part: ImagePart) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std) of the pixels, red, green and blue, on the scale 0 to 1.

    A constant channel has the deviation of one grey level.
    """
    counts = torch.zeros(3, 256, dtype=torch.int64)
    for chunk, _ in part.chunks(_CHUNK):
        for channel in range(3):
            counts[channel] += torch.bincount(chunk[:, channel].flatten(), minlength=256)
    share = counts.double() / counts.sum(1, keepdim=True)
    value = torch.arange(256, dtype=torch.float64) / 255
    mean = share @ value
    std = (share @ value.square() - mean.square()).clamp_min(0).sqrt().clamp_min(1 / 255)
    return tuple(mean.tolist()), tuple(std.tolist())


def _content(facts: object, parts: Sequence[ImagePart]) -> str:
    """12 hexadecimal digits of pixels, labels and what else decides the set's meaning."""
    digest = hashlib.sha256(repr(facts).encode())
    for part in parts:
        digest.update(repr(tuple(part.squares.shape)).encode())
        digest.update(part.labels.contiguous().numpy().data)
        for chunk, _ in part.chunks(_CHUNK):
            digest.update(chunk.contiguous().numpy().data)
    return digest.hexdigest()[:12]


def hold_out(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """(rows to validate on, a fifth rounded up; rows to train on), every class in proportion."""
    order = stratified_order(labels, seed)
    chosen, kept = order.tensor_split([held_out(len(order))])
    return chosen, kept


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


def _resized(part: ImagePart, side_px: int) -> ImagePart:
    if part.squares.shape[-1] == side_px:
        return part
    check_memory(len(part), side_px)
    squares = torch.cat([fit_square(chunk, side_px) for chunk, _ in part.chunks(_CHUNK)])
    return ImagePart(squares, torch.arange(len(part)), part.labels)


def check_memory(count: int, side_px: int) -> None:
    """Refuse a set of images that would fill more than half of this machine's memory."""
    needed = count * 3 * side_px**2
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    if needed > half:
        raise UsageError(
            f"{count} images at {side_px} px need {needed / 2**30:.1f} GB of memory and at most "
            f"{half / 2**30:.1f} GB may be used here; choose a smaller resolution or fewer images"
        )
