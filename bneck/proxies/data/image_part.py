"""Part of a set of images: labelled rows of squares, in memory or mapped from a file."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bneck import records
from bneck.errors import BneckError, cannot
from bneck.files import write_json, write_with
from bneck.locks import locked
from bneck.machine import cores
from bneck.proxies.data.image_info import HELD_OUT_EVERY
from bneck.proxies.data.pixels import CHUNK, check_memory, fit_square, histogram, statistics
from bneck.proxies.data.row_order import hold_out, stratified_order

_Channels = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class ImagePart:
    """The training, validation or test images of a set: rows of squares that all views share.

    Attributes:
        squares: uint8 (N, 3, side, side), in memory or mapped from a file; never copied whole.
        rows: int64 (n,), the squares that belong to this part, in the part's order.
        labels: int64 (n,), 0 to classes - 1.
        contents: int64 (n,), equal where two squares hold the same pixels.
        store: the folder of the file of squares, which also keeps what is derived from its rows;
            None where squares are in memory, or are derived themselves.
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
            self, rows=self.rows[which], labels=self.labels[which], contents=self.contents[which]
        )

    def first(self, count: int | None, seed: int) -> "ImagePart":
        """At most ``count`` images, every class in proportion; None keeps all."""
        if count is None or count >= len(self):
            return self
        return self.take(stratified_order(self.labels, seed)[:count])

    def split(
        self, seed: int, *, fold: int = 0, folds: int = HELD_OUT_EVERY
    ) -> tuple["ImagePart", "ImagePart"]:
        """(four fifths to train on, a fifth to validate on), every class in proportion.

        Args:
            seed: decides which.
            fold: which part to validate on; together the parts are all images.
            folds: number of parts.
        """
        chosen, kept = hold_out(self.labels, seed, self.contents, fold=fold, folds=folds)
        return self.take(kept), self.take(chosen)

    def without(self, others: Iterable["ImagePart"]) -> "ImagePart":
        """The part without the pictures that others hold too."""
        shared = self.shared_with(others)
        return self.take((~shared).nonzero().squeeze(1)) if shared.any() else self

    def shared_with(self, others: Iterable["ImagePart"]) -> Tensor:
        """bool (n,): whether the same picture, pixel for pixel, is in other parts of the set."""
        found = [torch.isin(self.contents, other.contents) for other in others]
        return torch.stack(found).any(0) if found else torch.zeros(len(self), dtype=torch.bool)

    def resized(self, side_px: int) -> "ImagePart":
        """The part's images at another side: in a file beside the squares, or in memory.

        A folder that is read-only keeps no such file.
        """
        if self.squares.shape[-1] == side_px:
            return self
        rows, file = torch.arange(len(self)), None
        if self.store is not None:
            file = self.store / f"resized-{self._digest()}-{side_px}.u8"
        if file is None or not (self._is_kept(file, side_px) or os.access(file.parent, os.W_OK)):
            check_memory(len(self), side_px)
            pixels = torch.cat(list(self._resized(side_px)))
            return replace(self, squares=pixels, rows=rows, store=None)
        if not self._is_kept(file, side_px):
            self._keep_resized(file, side_px)
        return replace(self, squares=mapped(file, side_px), rows=rows, store=None)

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(mean, std) of the pixels, red, green and blue, on the scale 0 to 1.

        A constant channel has the deviation of one grey level. Kept beside a file of squares.
        """
        if self.store is None:
            return statistics(self._histogram())
        file = self.store / f"statistics-{self._digest()}.json"
        with suppress(BneckError):  # none is kept, or one that is damaged
            mean, std = records.read(file, tuple[_Channels, _Channels])
            return mean, std
        found = statistics(self._histogram())
        with suppress(BneckError):  # a cache that cannot be written is done without
            write_json(file, found)
        return found

    def _histogram(self) -> Tensor:
        """Count the values of all pixels, on all cores: int64 (3, 256)."""
        counts = torch.zeros(3, 256, dtype=torch.int64)
        with ThreadPoolExecutor(cores()) as threads:
            of_rows = threads.map(lambda rows: histogram(self.squares[rows]), self.rows.split(64))
            for found in of_rows:
                counts += found
        return counts

    def _digest(self) -> str:
        return hashlib.sha256(self.rows.numpy().data).hexdigest()[:16]

    def _resized(self, side_px: int) -> Iterator[Tensor]:
        for chunk, _ in self.chunks(CHUNK):
            yield fit_square(chunk, side_px)

    def _keep_resized(self, file: Path, side_px: int) -> None:
        """Write the images once, however many workers begin together, so that all map one file."""
        try:
            with locked(file):
                if not self._is_kept(file, side_px):
                    write_with(file, lambda temporary: self._write_resized(temporary, side_px))
        except OSError as error:
            raise cannot("write", file, error) from error

    def _is_kept(self, file: Path, side_px: int) -> bool:
        return file.is_file() and file.stat().st_size == len(self) * 3 * side_px**2

    def _write_resized(self, file: Path, side_px: int) -> None:
        with file.open("wb") as opened:
            for chunk in self._resized(side_px):
                opened.write(chunk.permute(0, 2, 3, 1).contiguous().numpy().data)


def mapped(file: Path, side_px: int) -> Tensor:
    """Squares of a file, uint8 (N, 3, side, side): mapped, in channels_last order."""
    count = file.stat().st_size // (3 * side_px**2)
    pixels = np.memmap(file, np.uint8, "c", shape=(count, side_px, side_px, 3))
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)
