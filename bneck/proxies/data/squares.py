"""Files of squares: a folder of images decoded once, mapped into memory by all who train on it.

A set lies in ``CACHE/squares/KEY``; the key is made of what the folder holds (paths, sizes, times)
and the side. ``squares.u8`` holds raw uint8 (N, side, side, 3), ``labels.npy`` int32 (N,),
``digests.npy`` uint8 (N, 16), ``names.txt`` a path for each, ``index.json`` all else. The folder
appears whole or not at all; while it is made it is called ``KEY.partial``.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from bneck.errors import BneckError
from bneck.files import read_json, write_json, write_whole
from bneck.progress import Progress
from bneck.proxies.data.decode_pool import decoded_chunks
from bneck.proxies.data.decode_worker import CHUNK, DIGEST_BYTES, Job
from bneck.proxies.data.layout import Layout
from bneck.proxies.score_cache import cache_folder

VERSION = 2
PARTS = ("train", "val", "test")
SPARE_BYTES = 64 * 2**20
"""Left free on the disk."""


@dataclass(frozen=True, slots=True)
class Index:
    """What is known of a set of squares, apart from its rows.

    Attributes:
        folder: what was decoded.
        class_names: one for each label.
        parts: number of images by part; they lie in the order train, val, test.
        bad: number of an image and why it cannot be used.
        white: what white is in deep pixels, as ``decoding.find_white`` says.
    """

    version: int
    folder: str
    side_px: int
    class_names: tuple[str, ...]
    parts: Mapping[str, int]
    bad: Mapping[int, str]
    white: Mapping[str, int]

    @property
    def count(self) -> int:
        """Number of squares."""
        return sum(self.parts.values())

    @property
    def size_bytes(self) -> int:
        """Of the file of squares."""
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
        """(N,) paths below the folder."""
        text = (self.place / "names.txt").read_text(encoding="utf-8", errors="surrogateescape")
        return text.split("\0")


def squares_folder() -> Path:
    """Where all sets lie."""
    return cache_folder() / "squares"


def prepare(layout: Layout, side_px: int, white: Mapping[str, int], progress: Progress) -> Squares:
    """Decode a folder's images, unless they lie ready; stopped anywhere, it resumes.

    Args:
        layout: the folder's files.
        side_px: side of the squares.
        white: what white is in deep pixels, as ``decoding.find_white`` says.
        progress: told the size of the squares before they are made, then each chunk.

    Raises:
        BneckError: the disk is too small, full or read-only.
    """
    key = _key(layout, side_px)
    place = squares_folder() / key
    if (ready := open_squares(place)) is not None:
        return ready
    index = Index(
        version=VERSION,
        folder=str(layout.folder.absolute()),
        side_px=side_px,
        class_names=layout.class_names,
        parts={part: len(layout.parts[part].paths) for part in PARTS if part in layout.parts},
        bad={},
        white=white,
    )
    try:
        with _lock(place):
            if (ready := open_squares(place)) is not None:  # another process was first
                return ready
            _make(place, layout, index, progress)
    except OSError as error:
        raise BneckError(
            f"cannot write the {index.size_bytes / 2**30:.2f} GB of squares into {place.parent}: "
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
    """The sets that were decoded from a folder."""
    return [one for one in all_squares() if one.index.folder == str(folder.absolute())]


def changed_files(squares: Squares, folder: Path, progress: Progress) -> list[str]:
    """Names of files of a folder that are gone, or decode to other pixels than the squares hold.

    Args:
        squares: what was decoded.
        folder: where the files are now.
        progress: told of every chunk that is decoded again.
    """
    index, names, digests = squares.index, squares.names(), squares.digests()
    job = Job(str(folder), os.devnull, index.side_px, index.white)
    starts = range(0, index.count, CHUNK)
    chunks = ((start, names[start : start + CHUNK]) for start in starts)
    changed: list[int] = []
    for done, (_, answer) in enumerate(decoded_chunks(job, chunks, len(starts)), start=1):
        start, found = int(answer["start"]), bytes.fromhex(answer["digests"])
        now = np.frombuffer(found, np.uint8).reshape(-1, DIGEST_BYTES)
        bad = {int(row) for row, _ in answer["bad"]} ^ {
            row for row in index.bad if start <= row < start + CHUNK
        }
        differ = (now != digests[start : start + len(now)]).any(axis=1).nonzero()[0] + start
        changed += sorted({*bad, *(int(row) for row in differ)})
        progress("verifying images", min(done * CHUNK, index.count), index.count)
    return [names[row] for row in sorted(changed)]


def remove(place: Path) -> None:
    """Remove a set, also one that was never finished."""
    for one in (place, _partial(place)):
        shutil.rmtree(one, ignore_errors=True)
    _lock_file(place).unlink(missing_ok=True)


def _make(place: Path, layout: Layout, index: Index, progress: Progress) -> None:
    """Decode into ``KEY.partial``, then give it its name."""
    partial = _partial(place)
    paths = [path for part in index.parts for path in layout.parts[part].paths]
    labels = [label for part in index.parts for label in layout.parts[part].labels]
    partial.mkdir(parents=True, exist_ok=True)
    squares = partial / "squares.u8"
    squares.touch()
    _check_room(partial, index.size_bytes - 512 * squares.stat().st_blocks)
    digests = np.zeros((index.count, DIGEST_BYTES), np.uint8)
    bad: dict[int, str] = {}
    done: set[int] = set()

    def take(answer: Mapping[str, Any]) -> None:
        start, found = int(answer["start"]), bytes.fromhex(answer["digests"])
        digests[start : start + CHUNK] = np.frombuffer(found, np.uint8).reshape(-1, DIGEST_BYTES)
        bad.update((int(row), str(why)) for row, why in answer["bad"])
        done.add(start)

    with (partial / "chunks.jsonl").open("a+b") as journal:
        written = squares.stat().st_size // (3 * index.side_px**2)
        for answer in _whole_lines(journal, written, index.count):
            take(answer)
        size = f"{index.size_bytes / 2**30:.2f} GB into {place.parent}"
        progress("decoding images", min(len(done) * CHUNK, index.count), index.count, size)
        job = Job(str(layout.folder), str(squares), index.side_px, index.white)
        waiting = [start for start in range(0, index.count, CHUNK) if start not in done]
        chunks = ((start, paths[start : start + CHUNK]) for start in waiting)
        for line, answer in decoded_chunks(job, chunks, len(waiting)):
            take(answer)
            journal.write(line)
            journal.flush()
            progress("decoding images", min(len(done) * CHUNK, index.count), index.count)
    with squares.open("r+b") as file:
        os.fsync(file.fileno())
    np.save(partial / "labels.npy", np.array(labels, np.int32))
    np.save(partial / "digests.npy", digests)
    names = "\0".join(paths).encode("utf-8", "surrogateescape")
    (partial / "names.txt").write_bytes(names)
    known = asdict(index) | {"bad": {str(row): bad[row] for row in sorted(bad)}}
    write_json(partial / "index.json", known)
    (partial / "chunks.jsonl").unlink()
    shutil.rmtree(place, ignore_errors=True)
    partial.rename(place)


def _whole_lines(journal: IO[bytes], written: int, count: int) -> Iterator[Mapping[str, Any]]:
    """The chunks that an earlier process finished, up to the first that is not whole.

    Args:
        journal: an answer of ``decode_worker`` a line.
        written: how many squares the file has room for by now.
        count: how many there will be.
    """
    journal.seek(0)
    whole = 0
    for line in journal.readlines():
        try:
            answer = json.loads(line)
            is_whole = line.endswith(b"\n") and min(answer["start"] + CHUNK, count) <= written
        except (ValueError, KeyError, TypeError):
            is_whole = False
        if not is_whole:
            break
        whole += len(line)
        yield answer
    journal.truncate(whole)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise BneckError(
            f"the squares need {needed / 2**30:.2f} GB in {folder.parent}, which has "
            f"{free / 2**30:.2f} GB free; BNECK_CACHE names another folder"
        )


def _key(layout: Layout, side_px: int) -> str:
    """16 hexadecimal digits of what decides the squares."""
    digest = sha256(repr((VERSION, side_px, layout.class_names)).encode())
    for part in PARTS:
        if part in layout.parts:
            files = layout.parts[part]
            for row in zip(files.paths, files.stamps, files.labels, strict=True):
                digest.update(repr((part, row)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


@contextmanager
def _lock(place: Path) -> Iterator[None]:
    """Hold a set's lock: whoever comes second waits, and finds the set ready."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with _lock_file(place).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lock_file(place: Path) -> Path:
    return place.with_name(f".{place.name}.lock")


def _partial(place: Path) -> Path:
    return place.with_name(f"{place.name}.partial")
