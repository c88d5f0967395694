"""Tables of networks whose accuracy is known: the truth to search, to learn from or to rank by.

Four forms are read, told apart by their first line: NAS-Bench-Macro's CSV, Accel-NASBench's CSV,
JSON lines of ``{"arch": an architecture's JSON, "accuracy": 0.72}``, and CSV with the choices of a
space as columns beside ``accuracy``. Accuracies are returned as shares of 1; the published tables
hold per cent. Columns (or keys) ``accuracy@...`` may hold the accuracies of shorter trainings.
"""

import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from bneck.errors import UsageError, unknown
from bneck.files import csv_rows, read_text
from bneck.space import codec, spaces
from bneck.space.architecture import Architecture
from bneck.space.benchmark_spaces import macro_values
from bneck.space.choices import Space, Value, Values

MIN_NETWORKS = 5
AGREE = 1e-6

# Columns of other numbers: ``accuracy@5`` in our own files, and what the published ones hold.
_OTHER = re.compile(r"accuracy@.+|acc_run\d+|val_top5|(latency|throughput)_.+")

Cells = Mapping[str, str]
Row = tuple[int, Architecture, float, Mapping[str, Any]]
"""(line of the file, network, accuracy, all that the row holds)"""

Rows = Iterator[Row]


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
            cell that is no number, or fewer than five networks; names the file, the line and the
            bad value.
    """
    lines = read_text(path).splitlines()
    header: list[str] = []
    if _holds_json(lines):
        rows = _json_lines(path, lines, space)
    else:
        _, header = next(csv_rows(lines, path), (0, []))
        _check_separator(path, lines)
        if "mean_acc" in header:
            space = spaces.build("nas-bench-macro", resolution_px=32, classes=10)
            rows = _csv(path, lines, ("arch", "mean_acc"), _macro(space))
        elif "val_top1" in header:
            space = spaces.build("accel-nasbench")
            rows = _csv(path, lines, (*_ACCEL_COLUMNS, "val_top1"), _accel(space))
        else:
            rows = _choices(path, lines, header, space)
    listed = list(rows)
    _check_scale(path, header, listed)
    return Table(path.name, space, _merged(path, listed), _columns(path, listed))


def is_json_lines(path: Path) -> bool:
    """Whether the file says in each row what its network is, so that no space need be named."""
    return _holds_json(read_text(path).splitlines())


def _holds_json(lines: list[str]) -> bool:
    return next((line for line in lines if line.strip()), "").lstrip().startswith("{")


def _check_separator(path: Path, lines: list[str]) -> None:
    """Refuse a table whose columns are parted by something else than commas."""
    head = lines[0] if lines else ""
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if separator in head:
            raise UsageError(f"{path} has {name} between its columns; commas are expected")


def _check_scale(path: Path, header: Sequence[str], rows: Sequence[Row]) -> None:
    """Refuse shares of 1 in a column that holds per cent: they would be read as a hundredth."""
    for name in ("mean_acc", "val_top1"):
        if name in header and rows and max(accuracy for _, _, accuracy, _ in rows) <= 0.01:
            raise UsageError(
                f"{path}: no value of {name} is above 1, so these are shares; this form of table "
                "holds per cent, from 0 to 100"
            )


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
        raise UsageError(f"{path} holds {len(found)} networks; at least {MIN_NETWORKS} are needed")
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
            if not _OTHER.fullmatch(name) or cell is None or not str(cell).strip():
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


def _csv(
    path: Path,
    lines: list[str],
    columns: tuple[str, ...],
    read: Callable[[Cells], tuple[Architecture, float]],
) -> Rows:
    """Rows of a CSV that has at least these columns."""
    rows = csv_rows(lines, path)
    _, header = next(rows, (0, []))
    for name in columns:
        if name not in header:
            raise UsageError(f"{path} lacks the column {name!r}")
    for line, row in rows:
        if len(row) > len(header):
            raise UsageError(f"{path}, line {line}: {len(row)} fields in {len(header)} columns")
        cells = dict(zip_longest(header, row, fillvalue=""))
        try:
            arch, accuracy = read(cells)
        except (UsageError, ValueError) as error:
            raise UsageError(f"{path}, line {line}: {error}") from None
        yield line, arch, accuracy, cells


def _macro(space: Space) -> Callable[[Cells], tuple[Architecture, float]]:
    """NAS-Bench-Macro: a code of eight digits, and the mean of three runs in percent."""

    def read(cells: Cells) -> tuple[Architecture, float]:
        return space.decode(macro_values(cells["arch"])), _percent(cells, "mean_acc")

    return read


# Accel-NASBench's column of a stage, and the choice it is
_ACCEL_NAMES = {"e": "ratio", "k": "kernel", "l": "depth", "se": "se"}
_ACCEL_COLUMNS = tuple(f"block{s}_{name}" for s in range(7) for name in _ACCEL_NAMES)


def _accel(space: Space) -> Callable[[Cells], tuple[Architecture, float]]:
    """Accel-NASBench: four columns a stage, and ImageNet top-1 in percent."""
    columns = {
        f"s{s + 1}.{choice}": f"block{s}_{name}"
        for s in range(7)
        for name, choice in _ACCEL_NAMES.items()
    }

    def read(cells: Cells) -> tuple[Architecture, float]:
        return space.decode(_values(space, cells, columns)), _percent(cells, "val_top1")

    return read


def _choices(path: Path, lines: list[str], header: list[str], space: Space | None) -> Rows:
    """CSV with choices as columns; a choice that plays no part in a network is left empty."""
    if space is None:
        known = "arch + mean_acc (NAS-Bench-Macro), block0_e .. val_top1 (Accel-NASBench)"
        raise UsageError(f"{path}: its columns are not {known}; name the space they are choices of")
    for name in header:
        if name not in space.choices and name != "accuracy" and not _OTHER.fullmatch(name):
            raise unknown(f"column in {path}:", name, [*space.choices, "accuracy", "accuracy@..."])
    columns = {name: name for name in space.choices}

    def read(cells: Cells) -> tuple[Architecture, float]:
        return space.decode(_values(space, cells, columns)), _number(cells, "accuracy")

    return _csv(path, lines, (*space.choices, "accuracy"), read)


def _json_lines(path: Path, lines: list[str], space: Space | None) -> Rows:
    frame = space.decode(space.sample(0)) if space else None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict) or not {"arch", "accuracy"} <= row.keys():
                raise ValueError('a row is {"arch": ..., "accuracy": ...}')
            if isinstance(row["accuracy"], bool) or not isinstance(row["accuracy"], int | float):
                raise ValueError(f"accuracy must be a number, got {row['accuracy']!r}")
            accuracy, arch = float(row["accuracy"]), codec.from_json(row["arch"])
        except (UsageError, ValueError, OverflowError, RecursionError) as error:
            raise UsageError(f"{path}, line {number}: {error}") from None
        if frame and (arch.resolution_px, arch.classes) != (frame.resolution_px, frame.classes):
            raise UsageError(
                f"{path}, line {number}: a network for {arch.resolution_px} px and {arch.classes} "
                f"classes, not for {frame.resolution_px} px and {frame.classes}"
            )
        yield number, arch, accuracy, row


def _values(space: Space, cells: Cells, columns: Mapping[str, str]) -> Values:
    """The choices that a row's cells name; empty cells are left out."""
    values: Values = {}
    for name, column in columns.items():
        cell = (cells[column] or "").strip()
        if cell:
            words: dict[str, Value] = {str(value).lower(): value for value in space.choices[name]}
            if cell.lower() not in words:
                raise unknown(f"value of {column}:", cell, space.choices[name])
            values[name] = words[cell.lower()]
    return values


def _number(cells: Cells, column: str) -> float:
    try:
        return float(cells[column])
    except (TypeError, ValueError):
        raise ValueError(f"{column} must be a number, got {cells[column]!r}") from None


def _percent(cells: Cells, column: str) -> float:
    number = _number(cells, column)
    if not 0 <= number <= 100:
        raise ValueError(f"{column} must be from 0 to 100, got {cells[column]}")
    return number / 100
