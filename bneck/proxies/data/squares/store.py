"""Where files of squares lie, and how they appear there: whole or not at all.

A set lies in ``CACHE/squares/KEY``; the key is made of what decides the squares. ``squares.u8``
holds raw uint8 (N, side, side, 3), ``labels.npy`` int32 (N,), ``digests.npy`` uint8 (N, 16),
``names.txt`` a path for each, ``index.json`` all else. While it is made the folder is called
``KEY.partial``.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bneck.errors import BneckError
from bneck.files import cache_folder, lock_file, locked, read_json, write_json, write_whole
from bneck.proxies.data.squares.decode_worker import DIGEST_BYTES

VERSION = 2
JOURNAL = "chunks.jsonl"
"""What a set that is being made remembers itself by."""
SPARE_BYTES = 64 * 2**20
"""Left free on the disk."""


@dataclass(frozen=True, slots=True)
class Index:
    """What is known of a set of squares, apart from its rows.

    Attributes:
        folder: what was decoded; of arrays, as a plan names them: ``npz:FILE`` or ``cifar10``.
        class_names: one for each label.
        parts: number of images by part; they lie in the order train, val, test.
        bad: number of an image and why it cannot be used.
        white: what white is in deep pixels, as ``decoding.find_white`` says.
        flip: whether a mirrored image still shows its class.
        note: what was done to the pixels of arrays, if anything.
    """

    version: int
    folder: str
    side_px: int
    class_names: tuple[str, ...]
    parts: Mapping[str, int]
    bad: Mapping[int, str]
    white: Mapping[str, int]
    flip: bool = True
    note: str = ""

    @property
    def count(self) -> int:
        """Number of squares."""
        return sum(self.parts.values())

    @property
    def size_bytes(self) -> int:
        """Size of the file of squares, in bytes."""
        return self.count * 3 * self.side_px**2

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Read what ``write_json`` made of ``asdict``."""
        values = dict(kept)
        values["class_names"] = tuple(values["class_names"])
        values["bad"] = {int(row): why for row, why in values["bad"].items()}
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Squares:
    """A set that lies ready in ``place``."""

    place: Path
    index: Index

    def labels(self) -> NDArray[np.int32]:
        """(N,) class numbers."""
        return np.asarray(np.load(self.place / "labels.npy", allow_pickle=False))

    def class_counts(self) -> dict[str, dict[str, int]]:
        """By class, the number of images in each part."""
        labels, names, start = self.labels(), self.index.class_names, 0
        counts: dict[str, dict[str, int]] = {name: {} for name in names}
        for part, count in self.index.parts.items():
            of_part = np.bincount(labels[start : start + count], minlength=len(names))
            for name, number in zip(names, of_part, strict=True):
                counts[name][part] = int(number)
            start += count
        return counts

    def digests(self) -> NDArray[np.uint8]:
        """(N, 16): equal where pixels are."""
        return np.asarray(np.load(self.place / "digests.npy", allow_pickle=False))

    def names(self) -> list[str]:
        """(N,) paths below the folder; none of arrays."""
        text = (self.place / "names.txt").read_text(encoding="utf-8", errors="surrogateescape")
        return text.split("\0")


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


def squares_folder() -> Path:
    """Where all sets lie."""
    return cache_folder() / "squares"


def made_once(key: str, size_bytes: int, fill: Callable[[Path], Rows]) -> Squares:
    """Return the set of a key; where there is none, ``fill`` makes it, in one process at a time.

    Args:
        key: tells the set from all others.
        size_bytes: of its file of squares.
        fill: writes ``squares.u8`` into a folder, where it may find what it left when it was
            stopped, and returns the rest.

    Raises:
        BneckError: the disk is too small, full or read-only.
    """
    place = squares_folder() / key
    if (ready := open_squares(place)) is not None:
        return ready
    try:
        with locked(place):
            if (ready := open_squares(place)) is not None:  # another process was first
                return ready
            partial = _partial(place)
            partial.mkdir(parents=True, exist_ok=True)
            squares = partial / "squares.u8"
            squares.touch()
            _check_room(partial, size_bytes - 512 * squares.stat().st_blocks)
            _write_rows(partial, fill(partial))
            shutil.rmtree(place, ignore_errors=True)
            partial.rename(place)
    except OSError as error:
        raise BneckError(
            f"cannot write the {size_bytes / 2**30:.2f} GB of squares into {place.parent}: "
            f"{error.strerror or error}; BNECK_CACHE names another folder"
        ) from error
    ready = open_squares(place)
    assert ready is not None
    return ready


def open_squares(place: Path) -> Squares | None:
    """Open the set in ``place``; None if it is absent, of another version or cut short."""
    try:
        index = Index.from_json(read_json(place / "index.json"))
        sizes = [
            (place / name).stat().st_size for name in ("squares.u8", "labels.npy", "digests.npy")
        ]
    except (OSError, BneckError, ValueError, KeyError, TypeError):
        return None
    whole = (index.size_bytes, 4 * index.count, DIGEST_BYTES * index.count)
    complete = sizes[0] == whole[0] and sizes[1] > whole[1] and sizes[2] > whole[2]
    return Squares(place, index) if complete and index.version == VERSION else None


def all_squares() -> list[Squares]:
    """All sets that lie ready, by folder."""
    places = squares_folder().iterdir() if squares_folder().is_dir() else ()
    found = [one for one in map(open_squares, places) if one is not None]
    return sorted(found, key=lambda one: (one.index.folder, one.index.side_px))


def keep_pointer(fingerprint: str, place: Path) -> None:
    """Remember where images of this fingerprint lie, so that workers find them at once."""
    with suppress(BneckError):  # done without where the cache is read-only by now
        write_whole(squares_folder() / "by-fingerprint" / fingerprint, place.name)


def pointed_to(fingerprint: str) -> Squares | None:
    """Open the squares that ``keep_pointer`` remembers; None if there are none."""
    try:
        name = (squares_folder() / "by-fingerprint" / fingerprint).read_text()
    except OSError:
        return None
    return open_squares(squares_folder() / name)


def squares_of(folder: Path) -> list[Squares]:
    """The sets that were decoded from a folder, or made of arrays of this name."""
    place, name = folder.resolve(), str(folder)
    return [
        one
        for one in all_squares()
        if one.index.folder == name or Path(one.index.folder).resolve() == place
    ]


def remove(place: Path) -> None:
    """Remove a set, also one that was never finished."""
    for one in (place, _partial(place)):
        shutil.rmtree(one, ignore_errors=True)
    lock_file(place).unlink(missing_ok=True)


def _write_rows(place: Path, rows: Rows) -> None:
    with (place / "squares.u8").open("r+b") as file:
        os.fsync(file.fileno())
    np.save(place / "labels.npy", np.array(rows.labels, np.int32))
    np.save(place / "digests.npy", rows.digests)
    (place / "names.txt").write_bytes("\0".join(rows.names).encode("utf-8", "surrogateescape"))
    write_json(place / "index.json", asdict(rows.index))
    (place / JOURNAL).unlink(missing_ok=True)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise BneckError(
            f"the squares need {needed / 2**30:.2f} GB in {folder.parent}, which has "
            f"{free / 2**30:.2f} GB free; BNECK_CACHE names another folder"
        )


def _partial(place: Path) -> Path:
    return place.with_name(f"{place.name}.partial")
