"""A table of accuracies in place of images: ``--data table:FILE`` trains nothing."""

import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bneck.errors import UsageError
from bneck.files import path_of, short_sha256
from bneck.proxies.data.file_list import Stamp, stamp_of
from bneck.proxies.data.image_info import ImageInfo
from bneck.proxies.surrogate import table, table_rows
from bneck.space import spaces
from bneck.space.architecture import Architecture

if TYPE_CHECKING:  # scipy, which a table that is only checked does not need
    from bneck.proxies.surrogate.surrogate import Surrogate

PREFIX = "table:"


@dataclass(frozen=True, slots=True)
class TableData:
    """What ``table:FILE`` means in a space: a small value that is sent to workers.

    Called with a network, it returns the table's accuracy, or the prediction of a regression on it.

    Attributes:
        resolution_px: of networks in a CSV of choices; other forms bring their own.
        stamp: size and time of the file, which tell it from what was there before it was edited.
    """

    path: Path
    space: str
    resolution_px: int | None = None
    stamp: Stamp | None = None

    def load(self) -> None:
        """Have the regression ready, before any answer is timed, where any can need it."""
        if not _is_complete(self):
            _regression(self)

    def __call__(self, arch: Architecture) -> float:
        """Accuracy from 0 to 1."""
        known = _accuracies(self)
        if arch in known:
            return known[arch]
        mean, _ = _regression(self).predict([arch])
        return float(mean[0])

    def describe(self) -> ImageInfo:
        """Describe the table as a run keeps its data: no images, and classes named by numbers."""
        arch = next(iter(_accuracies(self)))
        return ImageInfo(
            name=f"{PREFIX}{self.path.name}",
            class_names=tuple(str(number) for number in range(arch.classes)),
            resolution_px=arch.resolution_px,
            mean=(),
            std=(),
            flip=False,
            training=0,
            validation=0,
            fingerprint=short_sha256(self.path),
        )

    def statement(self) -> str:
        """Say how many networks the table holds and, unless these are all, how its regression does.

        The reader's warnings, such as rows that disagree, follow.
        """
        known, warned = _opened(self)
        said = "".join(f"; {warning}" for warning in warned)
        if _is_complete(self):
            return f"{len(known.accuracies)} networks, all of the space {self.space}{said}"
        if len(known.accuracies) == table.MIN_NETWORKS:
            return f"{table.MIN_NETWORKS} networks, too few to cross-validate the regression{said}"
        return (
            f"{len(known.accuracies)} networks; rank correlation of the regression in "
            f"band, cross-validated: {_regression(self).cross_validated():.2f}{said}"
        )


def open_table(data: str, space: str | None, resolution_px: int | None) -> TableData | None:
    """Return the table that a plan's ``data`` names, or None where it names images.

    Args:
        data: the plan's data, such as ``table:FILE`` or ``digits``.
        space: whose networks the table holds; None where networks are to be trained.
        resolution_px: side of the networks' input; None takes the table's.

    Raises:
        UsageError: the table cannot be read, is of another space or of another input side.
    """
    if not data.startswith(PREFIX):
        return None
    if space is None:
        raise UsageError(f"{data} holds accuracies and no images, and this trains networks")
    if data == PREFIX:
        raise UsageError(f"name the file of the table: {PREFIX}FILE")
    path = path_of(data.removeprefix(PREFIX)).absolute()
    stamp = None
    with suppress(OSError):  # which reading it will explain
        stamp = stamp_of(path.stat())
    found = TableData(path, space, resolution_px, stamp)
    of_table, _ = _opened(found)
    if of_table.space is not None and of_table.space.name != space:
        raise UsageError(f"{data} holds networks of {of_table.space.name}, not of {space}")
    sizes = {(arch.resolution_px, arch.classes) for arch in of_table.accuracies}
    if len(sizes) > 1:
        raise UsageError(f"{data} mixes networks of {len(sizes)} input sides or class counts")
    (side, _) = sizes.pop()
    if resolution_px not in (None, side):
        raise UsageError(f"{data} holds networks for {side} px, not for {resolution_px}")
    return found


@lru_cache(maxsize=1)
def _regression(data: TableData) -> "Surrogate":
    from bneck.proxies.surrogate.surrogate import Surrogate

    known = _accuracies(data)
    return Surrogate(list(known), list(known.values()))


@lru_cache(maxsize=1)
def _is_complete(data: TableData) -> bool:
    """Whether the table holds every network of the space, so that nothing is left to predict."""
    known = _accuracies(data)
    arch = next(iter(known))
    space = spaces.build(data.space, resolution_px=arch.resolution_px, classes=arch.classes)
    return space.size <= len(known) and all(space.decode(one) in known for one in space.all())


def _accuracies(data: TableData) -> Mapping[Architecture, float]:
    known, _ = _opened(data)
    return known.accuracies


@lru_cache(maxsize=1)
def _opened(data: TableData) -> tuple[table.Table, tuple[str, ...]]:
    """Return the table and the warnings of its reader."""
    size = {} if data.resolution_px is None else {"resolution_px": data.resolution_px}
    choices = None if table_rows.is_json_lines(data.path) else spaces.build(data.space, **size)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read = table.load(data.path, choices)
    return read, tuple(str(warning.message) for warning in caught)
