"""Images as arrays: a large set becomes a file of squares, a small one stays in memory."""

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from bneck.progress import Progress
from bneck.proxies.data.image_source import ImageSource, check_labels
from bneck.proxies.data.pixels import CHUNK, digest_rows, fit_square
from bneck.proxies.data.raw import Raw, rgb
from bneck.proxies.data.squares.index import VERSION, Index
from bneck.proxies.data.squares.set_files import PIXELS, Rows, open_squares
from bneck.proxies.data.squares.source import source_of
from bneck.proxies.data.squares.store import keep_pointer, made_once, squares_folder
from bneck.proxies.data.summary import described
from bneck.units import byte_size

IN_MEMORY_BYTES = 2**26
"""Squares of fewer bytes are held by each process, which saves the cache a file."""


def load_arrays(
    name: str,
    stamp: str,
    read: Callable[[], Raw],
    resolution_px: int | None,
    seed: int,
    progress: Progress,
) -> ImageSource:
    """Return a set of images that ``read`` gives; nothing is read where its squares lie ready.

    Args:
        name: what the set is called, also in the list of all squares.
        stamp: tells its content from any other.
        read: gives the arrays.
        resolution_px: side of the squares; None for the images' own, from 32 to 224 px.
        seed: decides which fifth validates where there is no such part.
        progress: told what the set holds, and how far writing is.

    Raises:
        UsageError: fewer than two classes, a part without images, a label without a class.
        BneckError: no room for the squares.
    """
    key = sha256(repr((VERSION, stamp, resolution_px)).encode()).hexdigest()[:16]
    squares = open_squares(squares_folder() / key)
    if squares is None:
        raw = read()
        index = Index(
            version=VERSION,
            folder=name,
            side_px=raw.side_px(resolution_px),
            class_names=raw.class_names,
            parts={part: len(labels) for part, (_, labels) in raw.parts.items()},
            bad={},
            white={},
            flip=raw.flip,
            note=raw.note,
        )
        if index.size_bytes < IN_MEMORY_BYTES:
            return described(raw.source(name, index.side_px, seed), progress, note=raw.note)
        labels = [labels for _, labels in raw.parts.values()]
        check_labels(name, len(raw.class_names), labels[0], labels[-1])
        squares = made_once(key, index, partial(_write, raw, index, progress))
    images = described(source_of(squares, name, seed), progress, note=squares.index.note)
    keep_pointer(images.info.fingerprint, squares.place)
    return images


def _write(raw: Raw, index: Index, progress: Progress, place: Path) -> Rows:
    """Fill ``squares.u8``, a chunk at a time."""
    digests, labels, done = [], [], 0
    at_once = max(1, min(CHUNK, IN_MEMORY_BYTES // (3 * index.side_px**2)))
    size = f"{byte_size(index.size_bytes)} into {place.parent}"
    with (place / PIXELS).open("wb") as file:
        for images, of_part in raw.parts.values():
            labels += of_part.tolist()
            for chunk in images.split(at_once):
                squares = rgb(fit_square(chunk, index.side_px))  # (B, 3, side, side)
                digests.append(digest_rows(squares))
                file.write(squares.permute(0, 2, 3, 1).contiguous().numpy().data)
                done += len(chunk)
                progress("writing images", done, index.count, size)
    return Rows(index, labels, np.concatenate(digests))
