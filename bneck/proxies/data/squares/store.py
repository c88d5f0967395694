"""Where sets of squares lie, and how they appear there: whole or not at all.

A set lies in ``CACHE/squares/KEY``; the key is made of what decides the squares. While it is made
the folder is called ``KEY.partial``, and its index says of what it is made.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from bneck.errors import BneckError, cannot
from bneck.files import cache_folder, write_json, write_whole
from bneck.locks import lock_file, locked
from bneck.proxies.data.squares.index import Index
from bneck.proxies.data.squares.set_files import (
    INDEX,
    PIXELS,
    Rows,
    Squares,
    index_in,
    open_squares,
    write_rows,
)
from bneck.units import byte_size

SPARE_BYTES = 64 * 2**20
"""Left free on the disk."""
_PARTIAL = ".partial"


def squares_folder() -> Path:
    """Return the folder of all sets."""
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
            write_json(partial / INDEX, asdict(index))
            write_rows(partial, fill(partial))
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


def all_squares() -> list[Squares]:
    """All sets that lie ready, by folder."""
    found = (open_squares(place) for place in _places() if place.suffix != _PARTIAL)
    return _by_folder(one for one in found if one is not None)


def unfinished() -> list[Squares]:
    """All sets that are being made, or whose making was stopped; they have no rows yet."""
    found = ((place, index_in(place)) for place in _places() if place.suffix == _PARTIAL)
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
                    os.link(place / INDEX, partial / INDEX)
                shutil.rmtree(place)
            if partial.exists():
                for file in partial.iterdir():
                    if file.name != INDEX:  # which goes last: it is listed by that
                        file.unlink()
                shutil.rmtree(partial)
            lock_file(place).unlink()
    except OSError as error:
        raise cannot("remove", place, error) from error


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


def _by_folder(found: Iterable[Squares]) -> list[Squares]:
    return sorted(found, key=lambda one: (one.index.folder, one.index.side_px))
