"""The files of a set of squares, in a folder of its own.

``squares.u8`` holds raw uint8 (N, side, side, 3), ``labels.npy`` int32 (N,), ``digests.npy`` uint8
(N, 16), ``names.txt`` a path for each, ``index.json`` all else.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bneck.errors import BneckError, cannot
from bneck.files import write_json, write_whole
from bneck.proxies.data.squares.decode_worker import DIGEST_BYTES
from bneck.proxies.data.squares.index import VERSION, Index, read_index

INDEX = "index.json"
PIXELS, JOURNAL = "squares.u8", "chunks.jsonl"
"""The raw pixels of a set, and what it remembers itself by while it is made."""


@dataclass(frozen=True, slots=True)
class Squares:
    """A set that lies ready in ``place``."""

    place: Path
    index: Index

    def labels(self) -> NDArray[np.int32]:
        """(N,) class numbers."""
        return np.asarray(np.load(self.place / "labels.npy", allow_pickle=False))

    def class_counts(self) -> dict[str, dict[str, int]]:
        """By class, the number of readable images in each part."""
        labels, names, start = self.labels(), self.index.class_names, 0
        readable = np.ones(len(labels), dtype=bool)
        readable[list(self.index.bad)] = False
        counts: dict[str, dict[str, int]] = {name: {} for name in names}
        for part, count in self.index.parts.items():
            rows = slice(start, start + count)
            of_part = np.bincount(labels[rows][readable[rows]], minlength=len(names))
            for name, number in zip(names, of_part, strict=True):
                counts[name][part] = int(number)
            start += count
        return counts

    def digests(self) -> NDArray[np.uint8]:
        """(N, 16): equal where pixels are."""
        return np.asarray(np.load(self.place / "digests.npy", allow_pickle=False))

    def names(self) -> list[str]:
        """(N,) paths below the folder.

        Raises:
            BneckError: the file that holds them is damaged.
        """
        file = self.place / "names.txt"
        try:
            names = file.read_text(encoding="utf-8", errors="surrogateescape").split("\0")
        except OSError as error:
            raise cannot("read", file, error) from error
        if len(names) != self.index.count:
            raise BneckError(f"{file} is damaged: remove {self.place}, which is made again")
        return names


@dataclass(frozen=True, slots=True)
class Rows:
    """What belongs to a set apart from its pixels.

    Attributes:
        index: facts about all of it.
        labels: (N,) class numbers.
        digests: uint8 (N, 16).
        names: (N,) paths below the folder; none of arrays.
    """

    index: Index
    labels: Sequence[int]
    digests: NDArray[np.uint8]
    names: Sequence[str] = ()


def open_squares(place: Path) -> Squares | None:
    """Open the set in ``place``; None if it is absent, of another version, cut short or damaged."""
    index = index_in(place)
    if index is None or index.version != VERSION:
        return None
    try:
        size = (place / PIXELS).stat().st_size
        labels, digests = _mapped(place / "labels.npy"), _mapped(place / "digests.npy")
    except Exception:  # NumPy parses a file's header as Python, and fails in many ways
        return None
    complete = (
        size == index.size_bytes
        and labels.dtype == np.int32
        and labels.shape == (index.count,)
        and digests.dtype == np.uint8
        and digests.shape == (index.count, DIGEST_BYTES)
        and 0 <= labels.min(initial=0) <= labels.max(initial=0) < len(index.class_names)
    )
    return Squares(place, index) if complete else None


def write_rows(place: Path, rows: Rows) -> None:
    """Write all of a set but its pixels, which are there; its journal goes."""
    with (place / PIXELS).open("r+b") as file:
        os.fsync(file.fileno())
    _write_array(place / "labels.npy", np.array(rows.labels, np.int32))
    _write_array(place / "digests.npy", rows.digests)
    write_whole(place / "names.txt", "\0".join(rows.names).encode("utf-8", "surrogateescape"))
    write_json(place / INDEX, asdict(rows.index))
    (place / JOURNAL).unlink(missing_ok=True)


def index_in(place: Path) -> Index | None:
    """Return the index of the set in ``place``; None if it is absent or damaged."""
    try:
        return read_index(place / INDEX)
    except (OSError, BneckError, ValueError):  # ValueError: no system has a file of that name
        return None


def _mapped(file: Path) -> NDArray[Any]:
    return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))


def _write_array(file: Path, array: NDArray[Any]) -> None:
    content = BytesIO()
    np.save(content, array)
    write_whole(file, content.getvalue())
