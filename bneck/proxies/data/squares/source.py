"""A file of squares as a set of images, whose pixels stay in the file."""

import torch

from bneck.proxies.data.image_part import ImagePart, mapped
from bneck.proxies.data.image_source import ImageSource, assembled, check_labels
from bneck.proxies.data.pixels import numbered
from bneck.proxies.data.squares.set_files import PIXELS, Squares


def source_of(squares: Squares, name: str, seed: int) -> ImageSource:
    """The set's parts as rows of the squares; a fifth of the training images validates if none do.

    Where only train and test are given, test validates.

    Args:
        squares: what lies ready.
        name: what the set is called.
        seed: decides which fifth.
    """
    index = squares.index
    pixels = mapped(squares.place / PIXELS, index.side_px)
    labels = torch.from_numpy(squares.labels().astype("int64"))
    digests = squares.digests()
    contents = numbered(digests)
    good = torch.ones(index.count, dtype=torch.bool)
    good[list(index.bad)] = False
    parts, start = {}, 0
    for part, count in index.parts.items():
        rows = torch.arange(start, start + count)
        rows = rows[good[rows]]
        parts[part] = ImagePart(pixels, rows, labels[rows], contents[rows], squares.place)
        start += count
    train, val, test = parts["train"], parts.get("val"), parts.get("test")
    if val is None:
        val, test = test, None
    if val is None:
        check_labels(name, len(index.class_names), train.labels, train.labels)
        train, val = train.split(seed)
    found = [train, val] if test is None else [train, val, test]
    return assembled(name, index.class_names, found, [digests] * len(found), flip=index.flip)
