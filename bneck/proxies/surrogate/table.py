"""Tables of networks whose accuracy is known: the truth to search, to learn from or to rank by."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from bneck.errors import UsageError
from bneck.proxies.surrogate.table_rows import OTHER, Row, read_rows
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.text import number_of

MIN_NETWORKS = 5
"""What a regression can learn from."""
AGREE = 1e-6
"""Difference up to which two accuracies of a network are the same."""


@dataclass(frozen=True)
class Table:
    """Networks and their accuracies from 0 to 1, each network once, in the file's order.

    ``space`` is where the networks come from, as far as the file or the caller says. ``columns``
    are the rows' other numbers by name, such as the accuracy of a shorter training.
    """

    name: str
    space: Space | None
    accuracies: Mapping[Architecture, float]
    columns: Mapping[str, Mapping[Architecture, float]] = field(default_factory=dict)


def load(path: Path, space: Space | None = None) -> Table:
    """Read a table; ``space`` names what a CSV's columns are choices of.

    JSON lines need no space; where one is given, their networks must have its input side and number
    of classes. The published tables bring their own. Rows that disagree about one network are
    averaged, with a warning that names them.

    Raises:
        UsageError: a wrong column, a network outside the space, an accuracy or another column's
            cell that is not a number, or fewer than five networks; names the file, the line and the
            bad value.
    """
    space, rows = read_rows(path, space)
    return Table(path.name, space, _merged(path, rows), _columns(path, rows))


def _merged(path: Path, rows: Iterable[Row]) -> dict[Architecture, float]:
    """Each network once; warns of rows that disagree."""
    found: dict[Architecture, list[tuple[int, float]]] = {}
    for line, arch, accuracy, _ in rows:
        if not (isfinite(accuracy) and 0 <= accuracy <= 1):
            per_cent = "; divide per cent by 100" if 1 < accuracy <= 100 else ""
            raise UsageError(
                f"{path}, line {line}: accuracy must be from 0 to 1, got {accuracy:g}{per_cent}"
            )
        found.setdefault(arch, []).append((line, accuracy))
    if len(found) < MIN_NETWORKS:
        held = number_of(len(found), "network")
        raise UsageError(f"{path} holds {held}; at least {MIN_NETWORKS} are needed")
    for same in found.values():
        accuracies = [accuracy for _, accuracy in same]
        if max(accuracies) - min(accuracies) > AGREE:
            listed = ", ".join(f"{accuracy:.4f} in line {line}" for line, accuracy in same)
            warnings.warn(f"{path}: one network, taken as their mean: {listed}", stacklevel=3)
    return {arch: fmean(accuracy for _, accuracy in same) for arch, same in found.items()}


def _columns(path: Path, rows: Iterable[Row]) -> dict[str, dict[Architecture, float]]:
    """Numbers beside the architecture and its accuracy; of a network's rows the last counts."""
    columns: dict[str, dict[Architecture, float]] = {}
    for line, arch, _, cells in rows:
        for name, cell in cells.items():
            if not OTHER.fullmatch(name) or cell is None or not str(cell).strip():
                continue
            if (number := _finite(cell)) is None:
                raise UsageError(
                    f"{path}, line {line}: {name} must be a number or empty, got {cell!r:.60}"
                )
            columns.setdefault(name, {})[arch] = number
    return columns


def _finite(cell: Any) -> float | None:
    try:
        number = float("" if isinstance(cell, bool) else cell)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
