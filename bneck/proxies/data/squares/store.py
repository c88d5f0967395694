"""Where files of squares lie, and how they appear there: whole or not at all.

A set lies in ``CACHE/squares/KEY``; the key is made of what decides the squares. ``squares.u8``
holds raw uint8 (N, side, side, 3), ``labels.npy`` int32 (N,), ``digests.npy`` uint8 (N, 16),
``names.txt`` a path for each, ``index.json`` all else. While it is made the folder is called
``KEY.partial``, and its index says of what it is made.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bneck.errors import BneckError, cannot
from bneck.files import cache_folder, write_json, write_whole
from bneck.locks import lock_file, locked
from bneck.proxies.data.squares.decode_worker import DIGEST_BYTES
from bneck.proxies.data.squares.index import VERSION, Index, read_index
from bneck.units import byte_size

PIXELS, JOURNAL = "squares.u8", "chunks.jsonl"
"""The raw pixels of a set, and what it remembers itself by while it is made."""
SPARE_BYTES = 64 * 2**20
"""Left free on the disk."""
_INDEX, _PARTIAL = "index.json", ".partial"


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


def squares_folder() -> Path:
    """Where all sets lie."""
    return cache_folder() / "squares"


def made_once(key: str, index: Index, fill: Callable[[Path], Rows]) -> Squares:
    """Make the set of a key by ``fill``, once: a process that is at work on it is waited for.

    Args:
        key: tells the set from all others.
        index: what is known of it before it is made.
        fill: writes ``squares.u8`` into a folder, where it may find what it left when it was
            stopped, and returns the rest.

    Raises:
        BneckError: the disk is too small, full or read-only.
    """
    place = squares_folder() / key
    try:
        with locked(place):
            if (ready := open_squares(place)) is not None:  # another process was first
                return ready
            partial = _partial(place)
            partial.mkdir(parents=True, exist_ok=True)
            squares = partial / PIXELS
            squares.touch()
            _check_room(partial, index.size_bytes - 512 * squares.stat().st_blocks)
            write_json(partial / _INDEX, asdict(index))
            _write_rows(partial, fill(partial))
            shutil.rmtree(place, ignore_errors=True)
            partial.rename(place)
    except OSError as error:
        raise BneckError(
            f"cannot write the {byte_size(index.size_bytes)} of squares into {place.parent}: "
            f"{error.strerror or error}; BNECK_CACHE names another folder"
        ) from error
    ready = open_squares(place)
    assert ready is not None
    return ready


def open_squares(place: Path) -> Squares | None:
    """Open the set in ``place``; None if it is absent, of another version, cut short or damaged."""
    index = _index_in(place)
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


def all_squares() -> list[Squares]:
    """All sets that lie ready, by folder."""
    found = (open_squares(place) for place in _places() if place.suffix != _PARTIAL)
    return _by_folder(one for one in found if one is not None)


def unfinished() -> list[Squares]:
    """All sets that are being made, or whose making was stopped; they have no rows yet."""
    found = ((place, _index_in(place)) for place in _places() if place.suffix == _PARTIAL)
    return _by_folder(Squares(place, index) for place, index in found if index is not None)


def keep_pointer(fingerprint: str, place: Path) -> None:
    """Remember where images of this fingerprint lie, so that workers find them at once."""
    with suppress(BneckError):  # done without where the cache is read-only by now
        write_whole(squares_folder() / "by-fingerprint" / fingerprint, place.name)


def pointed_to(fingerprint: str) -> Squares | None:
    """Open the squares that ``keep_pointer`` remembers; None if there are none."""
    try:
        name = (squares_folder() / "by-fingerprint" / fingerprint).read_text("ascii")
    except (OSError, ValueError):
        return None
    return open_squares(squares_folder() / name)


def squares_of(folder: Path) -> list[Squares]:
    """The sets of a folder, or of arrays of this name, also those that were never finished."""
    place, name = folder.resolve(), str(folder)
    return [
        one
        for one in [*all_squares(), *unfinished()]
        if one.index.folder == name or Path(one.index.folder).resolve() == place
    ]


def remove(place: Path) -> None:
    """Remove a set and what is left of its making; a process that makes it is waited for.

    Killed meanwhile, what is left is listed as not finished.

    Raises:
        BneckError: the system lets nothing be removed there.
    """
    place = place.with_name(place.name.removesuffix(_PARTIAL))
    partial = _partial(place)
    try:
        with locked(place):
            if place.exists():
                with suppress(OSError):  # a full disk, or one without links
                    partial.mkdir(exist_ok=True)
                    os.link(place / _INDEX, partial / _INDEX)
                shutil.rmtree(place)
            if partial.exists():
                for file in partial.iterdir():
                    if file.name != _INDEX:  # which goes last: it is listed by that
                        file.unlink()
                shutil.rmtree(partial)
            lock_file(place).unlink()
    except OSError as error:
        raise cannot("remove", place, error) from error


def _write_rows(place: Path, rows: Rows) -> None:
    with (place / PIXELS).open("r+b") as file:
        os.fsync(file.fileno())
    _write_array(place / "labels.npy", np.array(rows.labels, np.int32))
    _write_array(place / "digests.npy", rows.digests)
    write_whole(place / "names.txt", "\0".join(rows.names).encode("utf-8", "surrogateescape"))
    write_json(place / _INDEX, asdict(rows.index))
    (place / JOURNAL).unlink(missing_ok=True)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise BneckError(
            f"the squares need {byte_size(needed)} in {folder.parent}, which has "
            f"{byte_size(free)} free; BNECK_CACHE names another folder"
        )


def _partial(place: Path) -> Path:
    return place.with_name(place.name + _PARTIAL)


def _places() -> list[Path]:
    return list(squares_folder().iterdir()) if squares_folder().is_dir() else []


def _index_in(place: Path) -> Index | None:
    try:
        return read_index(place / _INDEX)
    except (OSError, BneckError, ValueError):  # ValueError: no system has a file of that name
        return None


def _mapped(file: Path) -> NDArray[Any]:
    return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))


def _write_array(file: Path, array: NDArray[Any]) -> None:
    content = BytesIO()
    np.save(content, array)
    write_whole(file, content.getvalue())


def _by_folder(found: Iterable[Squares]) -> list[Squares]:
    return sorted(found, key=lambda one: (one.index.folder, one.index.side_px))
