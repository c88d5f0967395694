"""Labelled images by row number: the parts of a set, its splits and its views."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bneck.errors import BneckError, UsageError
from bneck.files import read_json, write_json, write_with
from bneck.proxies.data.image_info import ImageInfo
from bneck.proxies.data.rows import (
    CHUNK,
    check_memory,
    digest_rows,
    fit_square,
    hold_out,
    numbered,
    statistics,
    stratified_order,
)


@dataclass(frozen=True, eq=False)
class ImagePart:
    """The training, validation or test images of a set: rows of squares that all views share.

    Attributes:
        squares: uint8 (N, 3, side, side), in memory or mapped from a file; never copied whole.
        rows: int64 (n,), the squares that belong to this part, in the part's order.
        labels: int64 (n,), 0 to classes - 1.
        contents: int64 (n,), equal where two squares hold the same pixels.
        store: the folder of the file of squares, which also keeps what is derived from it; None
            where squares are in memory.
    """

    squares: Tensor
    rows: Tensor
    labels: Tensor
    contents: Tensor
    store: Path | None = field(default=None)

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
        return replace(
            self,
            rows=self.rows[which],
            labels=self.labels[which],
            contents=self.contents[which],
        )

    def first(self, count: int | None, seed: int) -> "ImagePart":
        """At most ``count`` images, every class in proportion; None keeps all."""
        if count is None or count >= len(self):
            return self
        return self.take(stratified_order(self.labels, seed)[:count])

    def split(self, seed: int) -> tuple["ImagePart", "ImagePart"]:
        """(four fifths to train on, a fifth to validate on), every class in proportion."""
        chosen, kept = hold_out(self.labels, seed, self.contents)
        return self.take(kept), self.take(chosen)

    def resized(self, side_px: int) -> "ImagePart":
        """The part's images at another side: in memory, or in a file beside the squares."""
        if self.squares.shape[-1] == side_px:
            return self
        rows = torch.arange(len(self))
        if self.store is None:
            check_memory(len(self), side_px)
            return replace(self, squares=torch.cat(list(self._resized(side_px))), rows=rows)
        file = self.store / f"resized-{self._digest()}-{side_px}.u8"
        if not file.exists():
            write_with(file, lambda temporary: self._write_resized(temporary, side_px))
        return replace(self, squares=mapped(file, side_px), rows=rows)

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(mean, std) of the pixels, red, green and blue, on the scale 0 to 1.

        A constant channel has the deviation of one grey level. Kept beside a file of squares.
        """
        pixels = (pixels for pixels, _ in self.chunks(CHUNK))
        if self.store is None:
            return statistics(pixels)
        file = self.store / f"statistics-{self._digest()}.json"
        if file.exists():
            mean, std = read_json(file)
            return tuple(mean), tuple(std)
        found = statistics(pixels)
        with suppress(BneckError):  # a cache that cannot be written is done without
            write_json(file, found)
        return found

    def _digest(self) -> str:
        return hashlib.sha256(self.rows.numpy().data).hexdigest()[:16]

    def _resized(self, side_px: int) -> Iterator[Tensor]:
        for chunk, _ in self.chunks(CHUNK):
            yield fit_square(chunk, side_px)

    def _write_resized(self, file: Path, side_px: int) -> None:
        with file.open("wb") as opened:
            for chunk in self._resized(side_px):
                opened.write(chunk.permute(0, 2, 3, 1).contiguous().numpy().data)


@dataclass(frozen=True, eq=False)
class ImageSource:
    """A set of images: its facts, and its pixels by row numbers.

    Where there is no ``test``, ``val`` measures the final accuracy and nothing else: whatever
    *chooses* between networks works on ``for_search``, whose validation part is held out of
    ``train``. Where there is one, ``val`` chooses and ``test`` gives the last figure.
    """

    info: ImageInfo
    train: ImagePart
    val: ImagePart
    test: ImagePart | None = None

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) -> float32 (B, 3, H, W) by the set's mean and std, channels_last."""
        mean = torch.tensor(self.info.mean, device=pixels.device).view(1, 3, 1, 1) * 255
        std = torch.tensor(self.info.std, device=pixels.device).view(1, 3, 1, 1) * 255
        x = pixels.to(torch.float32, memory_format=torch.channels_last)
        return (x - mean).div_(std)

    def normalised_with(self, mean: Sequence[float], std: Sequence[float]) -> "ImageSource":
        """The same images for weights that were trained with this mean and deviation."""
        return replace(self, info=replace(self.info, mean=tuple(mean), std=tuple(std)))

    def for_search(self, seed: int) -> "ImageSource":
        """The set on which networks are compared; what gives the last figure is left out.

        Its val is this val where there are test images, else a stratified fifth of this train.
        """
        if self.test is not None:
            return self._view(self.train, self.val)
        return self._view(*self.train.split(seed))

    def subset(
        self, *, seed: int, train: int | None = None, val: int | None = None
    ) -> "ImageSource":
        """At most so many images of each part, every class in proportion.

        Args:
            seed: decides which images.
            train: at most so many training images; None keeps all.
            val: at most so many validation images; None keeps all.
        """
        return self._view(self.train.first(train, seed), self.val.first(val, seed))

    def resized(self, resolution_px: int) -> "ImageSource":
        """The same images at another side, for proxies that train smaller."""
        if resolution_px == self.info.resolution_px:
            return self
        parts = (self.train.resized(resolution_px), self.val.resized(resolution_px))
        return self._view(*parts, resolution_px)

    def on_test(self) -> "ImageSource":
        """The set with its test images as val; itself where there are none."""
        return self if self.test is None else self._view(self.train, self.test)

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
            test=0,
            fingerprint=digest.hexdigest()[:12],
        )
        return ImageSource(info, train, val)


def in_memory(
    name: str,
    class_names: Sequence[str],
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor] | None = None,
    *,
    seed: int = 0,
    flip: bool = True,
) -> ImageSource:
    """Images that are tensors already.

    Args:
        name: what errors call the set.
        class_names: one for each label.
        train, val: squares, uint8 (N, 3, side, side), and labels, int64 (N,).
        seed: decides which fifth of ``train`` validates where there is no ``val``.
        flip: whether a mirrored image still shows its class.

    Raises:
        UsageError: fewer than two classes, a part without images, a label without a class.
    """
    given = [train] if val is None else [train, val]
    digests = [digest_rows(images) for images, _ in given]
    contents = numbered(np.concatenate(digests)).split([len(rows) for rows in digests])
    parts = [
        ImagePart(images, torch.arange(len(images)), labels, of_part)
        for (images, labels), of_part in zip(given, contents, strict=True)
    ]
    check_labels(name, len(class_names), parts[0].labels, parts[-1].labels)
    train_part, val_part = parts if len(parts) == 2 else parts[0].split(seed)
    check_labels(name, len(class_names), train_part.labels, val_part.labels)
    mean, std = train_part.statistics()
    info = ImageInfo(
        name=name,
        class_names=tuple(class_names),
        resolution_px=train[0].shape[-1],
        mean=mean,
        std=std,
        flip=flip,
        training=len(train_part),
        validation=len(val_part),
        fingerprint=_fingerprint((tuple(class_names), flip), (train_part, val_part)),
    )
    return ImageSource(info, train_part, val_part)


def mapped(file: Path, side_px: int) -> Tensor:
    """Squares of a file, uint8 (N, 3, side, side): mapped, in channels_last order."""
    count = file.stat().st_size // (3 * side_px**2)
    pixels = np.memmap(file, np.uint8, "c", shape=(count, side_px, side_px, 3))
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def check_labels(name: str, classes: int, train: Tensor, val: Tensor) -> None:
    """Raise UsageError unless there are two classes, images in both parts, and labels in range.

    Args:
        name: what the error calls the set.
        classes: how many there are.
        train: int64 (N,), labels of the training images.
        val: int64 (N,), labels of the validation images.
    """
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


def _fingerprint(facts: object, parts: Sequence[ImagePart]) -> str:
    """12 hexadecimal digits of pixels, labels and what else decides the set's meaning."""
    digest = hashlib.sha256(repr(facts).encode())
    for part in parts:
        digest.update(repr((len(part), *part.squares.shape[1:])).encode())
        digest.update(part.labels.contiguous().numpy().data)
        for chunk, _ in part.chunks(CHUNK):
            digest.update(chunk.contiguous().numpy().data)
    return digest.hexdigest()[:12]
