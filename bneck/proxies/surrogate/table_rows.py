"""The rows of a table of accuracies, in each form that such a table has.

Four forms are read, told apart by their first line: NAS-Bench-Macro's CSV, Accel-NASBench's CSV,
JSON lines of ``{"arch": an architecture's JSON, "accuracy": 0.72}``, and CSV with the choices of a
space as columns beside ``accuracy``. Accuracies are returned as shares of 1; the published tables
hold per cent. Columns (or keys) ``accuracy@...`` may hold the accuracies of shorter trainings.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bneck.errors import UsageError, unknown
from bneck.files import csv_rows, read_text
from bneck.json_text import parse_json
from bneck.space import codec, spaces
from bneck.space.architecture import Architecture
from bneck.space.benchmark_spaces import macro_values
from bneck.space.choices import Space, Value, Values

OTHER = re.compile(r"accuracy@.+|acc_run\d+|val_top5|(latency|throughput)_.+")
"""Columns of other numbers: ``accuracy@5`` in our own files, and what the published ones hold."""

Cells = Mapping[str, str]
Row = tuple[int, Architecture, float, Mapping[str, Any]]
"""(line of the file, network, accuracy, all that the row holds)"""


def read_rows(path: Path, space: Space | None) -> tuple[Space | None, list[Row]]:
    """Return the rows, and the space that their networks are from, as ``table.load`` takes it.

    Raises:
        UsageError: a wrong column, a network outside the space, or an accuracy that is not a
            number.
    """
    lines = read_text(path).splitlines()
    if _holds_json(lines):
        return space, list(_json_lines(path, lines, space))
    _, header = next(csv_rows(lines, path), (0, []))
    _check_separator(path, lines)
    if "mean_acc" in header:
        space = spaces.build("nas-bench-macro", resolution_px=32, classes=10)
        rows = list(_csv(path, lines, ("arch", "mean_acc"), _macro(space)))
        _check_scale(path, "mean_acc", rows)
    elif "val_top1" in header:
        space = spaces.build("accel-nasbench")
        rows = list(_csv(path, lines, (*_ACCEL_COLUMNS, "val_top1"), _accel(space)))
        _check_scale(path, "val_top1", rows)
    else:
        rows = list(_choices(path, lines, header, space))
    return space, rows


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


def _check_scale(path: Path, column: str, rows: list[Row]) -> None:
    """Refuse shares of 1 in a column that holds per cent: they would be read as a hundredth.

    One among per cent reads as far less than all others, though it is as accurate as they are.
    """
    if not rows:
        return
    per_cent = [(accuracy, line) for line, _, accuracy, _ in rows if accuracy > 0.01]
    if not per_cent:
        raise UsageError(
            f"{path}: no value of {column} is above 1, so these are shares; this form of table "
            "holds per cent, from 0 to 100"
        )
    least, beside = min(per_cent)
    for line, arch, accuracy, cells in rows:
        at_chance = 0.5 <= accuracy * arch.classes <= 1.5  # of a network that learnt nothing
        if 10 * accuracy < least <= 100 * accuracy and not at_chance:
            raise UsageError(
                f"{path}: {column} is {cells[column]} in line {line} and {100 * least:g} in line "
                f"{beside}: give all in per cent, from 0 to 100"
            )


def _csv(
    path: Path,
    lines: list[str],
    columns: tuple[str, ...],
    read: Callable[[Cells], tuple[Architecture, float]],
) -> Iterator[Row]:
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


def _choices(path: Path, lines: list[str], header: list[str], space: Space | None) -> Iterator[Row]:
    """CSV with choices as columns; a choice that plays no part in a network is left empty."""
    if space is None:
        known = "arch + mean_acc (NAS-Bench-Macro), block0_e .. val_top1 (Accel-NASBench)"
        raise UsageError(f"{path}: its columns are not {known}; name the space they are choices of")
    if not header:
        raise UsageError(f"{path} is empty")
    if not {*space.choices, "accuracy"} & {*header}:  # all of which would make a very long line
        raise UsageError(
            f"{path} is not a table of accuracies: no column is called accuracy, or as a choice of "
            f"its space, such as {next(iter(space.choices))}"
        )
    for name in header:
        if name not in space.choices and name != "accuracy" and not OTHER.fullmatch(name):
            raise unknown(f"column in {path}:", name, [*space.choices, "accuracy", "accuracy@..."])
    columns = {name: name for name in space.choices}

    def read(cells: Cells) -> tuple[Architecture, float]:
        return space.decode(_values(space, cells, columns)), _number(cells, "accuracy")

    return _csv(path, lines, (*space.choices, "accuracy"), read)


def _json_lines(path: Path, lines: list[str], space: Space | None) -> Iterator[Row]:
    frame = space.decode(space.sample(0)) if space else None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
            if not isinstance(row, dict) or not {"arch", "accuracy"} <= row.keys():
                raise ValueError('a row is {"arch": ..., "accuracy": ...}')
            if isinstance(row["accuracy"], bool) or not isinstance(row["accuracy"], int | float):
                raise ValueError(f"accuracy must be a number, got {row['accuracy']!r}")
            accuracy, arch = float(row["accuracy"]), codec.from_json(row["arch"])
        except (UsageError, ValueError, OverflowError) as error:
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
