"""A folder of images as a file of squares: decoded by all cores, resumed where it was stopped."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np

from bneck.json_text import parse_json
from bneck.progress import Progress
from bneck.proxies.data.decoding import find_white
from bneck.proxies.data.image_info import PARTS
from bneck.proxies.data.layout import Layout
from bneck.proxies.data.squares.decode_pool import Chunk, decoded_chunks
from bneck.proxies.data.squares.decode_worker import CHUNK, DIGEST_BYTES, Job, digest
from bneck.proxies.data.squares.index import VERSION, Index
from bneck.proxies.data.squares.set_files import JOURNAL, PIXELS, Rows, Squares, open_squares
from bneck.proxies.data.squares.store import made_once, squares_folder
from bneck.units import byte_size

CHUNKS_A_SYNC = 16
"""Chunks that are brought to the disk at a time, while others are decoded; left to the end,
gigabytes would be waited for with all cores idle."""


def prepare(layout: Layout, side_px: int, progress: Progress, *, deep: bool = False) -> Squares:
    """Decode a folder's images, unless they lie ready; stopped anywhere, it resumes.

    Args:
        layout: the folder's files.
        side_px: side of the squares.
        progress: told the size of the squares before they are made, then each chunk.
        deep: whether to look for white in all files before any is decoded (``find_white``); without
            it, chunks in which pixels of more than 8 bits turn up wait for the others.

    Raises:
        UsageError: deep pixels that cannot be scaled, or a file that may not be read.
        BneckError: the disk is too small, full or read-only.
    """
    key = _key(layout, side_px)
    if (ready := open_squares(squares_folder() / key)) is not None:
        return ready
    index = Index(
        version=VERSION,
        folder=str(layout.folder.absolute()),
        side_px=side_px,
        class_names=layout.class_names,
        parts={part: len(layout.parts[part].paths) for part in PARTS if part in layout.parts},
        bad={},
        white=find_white(layout.files(), progress) if deep else {},
    )

    def fill(place: Path) -> Rows:
        return _decode(place, layout, index, progress)

    return made_once(key, index, fill)


def changed_files(squares: Squares, folder: Path, progress: Progress) -> list[str]:
    """Names of files of a folder that are gone, or decode to other pixels than the squares hold.

    Args:
        squares: what was decoded.
        folder: where the files are now.
        progress: told of every chunk that is decoded again.
    """
    index, names, decoded = squares.index, squares.names(), squares.digests()
    job = Job(str(folder), os.devnull, index.side_px, index.white)
    starts = range(0, index.count, CHUNK)
    changed: list[int] = []
    answers = decoded_chunks(job, _chunks(names, starts), len(starts))
    for done, (_, answer) in enumerate(answers, start=1):
        start, now = int(answer["start"]), _digests(answer)
        bad = {int(row) for row, _ in answer["bad"]} ^ {
            row for row in index.bad if start <= row < start + CHUNK
        }
        differ = (now != decoded[start : start + len(now)]).any(axis=1).nonzero()[0] + start
        changed += sorted({*bad, *(int(row) for row in differ)})
        progress("verifying images", min(done * CHUNK, index.count), index.count)
    return [names[row] for row in sorted(changed)]


def _decode(place: Path, layout: Layout, index: Index, progress: Progress) -> Rows:
    """Fill ``squares.u8`` in a folder of which an earlier process may have filled a part."""
    paths = [path for part in index.parts for path in layout.parts[part].paths]
    labels = [label for part in index.parts for label in layout.parts[part].labels]
    squares = place / PIXELS
    digests = np.zeros((index.count, DIGEST_BYTES), np.uint8)
    bad: dict[int, str] = {}
    white = dict(index.white)
    done: set[int] = set()

    def take(answer: Mapping[str, Any]) -> None:
        start = int(answer["start"])
        of_chunk = {int(row): str(why) for row, why in answer["bad"]}
        digests[start : start + CHUNK] = _digests(answer)
        bad.update(of_chunk)
        white.update(answer.get("white", {}))  # earlier versions kept none
        done.add(start)

    with (place / JOURNAL).open("a+b") as journal, squares.open("rb") as written:
        _take_whole_lines(journal, written, 3 * index.side_px**2, take)
        size = f"{byte_size(index.size_bytes)} into {place.parent}"
        progress("decoding images", min(len(done) * CHUNK, index.count), index.count, size)
        waiting = [start for start in range(0, index.count, CHUNK) if start not in done]
        for is_last in (False, True):
            job = Job(str(layout.folder), str(squares), index.side_px, dict(white))
            deep = []
            for line, answer in decoded_chunks(job, _chunks(paths, waiting), len(waiting)):
                if answer["deep"] and not white and not is_last:
                    deep.append(answer["start"])
                    continue
                take(answer)
                journal.write(line)
                journal.flush()
                if len(done) % CHUNKS_A_SYNC == 0:
                    os.fsync(written.fileno())
                progress("decoding images", min(len(done) * CHUNK, index.count), index.count)
            names = [name for _, chunk in _chunks(paths, deep) for name in chunk]
            white |= find_white([layout.folder / name for name in names], progress)
            waiting = deep
    whole = replace(index, bad=dict(sorted(bad.items())), white=white)
    return Rows(whole, labels, digests, paths)


def _chunks(names: list[str], starts: Iterable[int]) -> Iterator[Chunk]:
    """The chunks that begin at these rows."""
    return ((start, names[start : start + CHUNK]) for start in starts)


def _digests(answer: Mapping[str, Any]) -> np.ndarray:
    """(images, DIGEST_BYTES) of a chunk, as its answer tells them."""
    found = bytes.fromhex(answer["digests"])
    return np.frombuffer(found, np.uint8).reshape(-1, DIGEST_BYTES)


def _take_whole_lines(
    journal: IO[bytes], squares: IO[bytes], size: int, take: Callable[[Mapping[str, Any]], None]
) -> None:
    """Take the chunks that an earlier process finished, up to the first that is not whole.

    A power loss may have kept the journal's line of a chunk and not its squares.

    Args:
        journal: an answer of ``decode_worker`` a line.
        squares: the file that it tells of.
        size: of a square, in bytes.
        take: given each answer; fails at one that makes no sense.
    """
    journal.seek(0)
    whole = 0
    for line in journal.readlines():
        try:
            answer = parse_json(line)
            if not (line.endswith(b"\n") and _lies_in(squares, answer, size)):
                break
            take(answer)
        except (ValueError, KeyError, TypeError, OSError, AttributeError):
            break
        whole += len(line)
    journal.truncate(whole)


def _lies_in(file: IO[bytes], answer: Mapping[str, Any], size: int) -> bool:
    """Whether the squares of a chunk are those that its answer tells of."""
    digests = bytes.fromhex(answer["digests"])
    file.seek(answer["start"] * size)
    squares = (file.read(size) for _ in range(0, len(digests), DIGEST_BYTES))
    return digests == b"".join(digest(np.frombuffer(one, np.uint8)) for one in squares)


def _key(layout: Layout, side_px: int) -> str:
    """16 hexadecimal digits of what decides the squares."""
    digest = sha256(repr((VERSION, side_px, layout.class_names)).encode())
    for part in PARTS:
        if part in layout.parts:
            files = layout.parts[part]
            for row in zip(files.paths, files.stamps, files.labels, strict=True):
                digest.update(repr((part, row)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]
