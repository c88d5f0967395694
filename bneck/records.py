"""Records as JSON and back: strict, so that a foreign or half-written file is never half-read.

A record is a frozen dataclass of plain values, other records, tuples and mappings. A class with
``to_json`` and ``from_json`` of its own is written and read by these.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from bneck import json_lines
from bneck.errors import BneckError, UsageError, unknown
from bneck.files import is_written, naming, read_json, write_json, write_whole
from bneck.imports import Untrusted
from bneck.quantities import Accuracy, Latency, is_finite

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Return a record, or what a record holds, as JSON values that ``from_json`` reads back."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if is_dataclass(value):
        return {item.name: to_json(getattr(value, item.name)) for item in _public(value)}
    if isinstance(value, Mapping):
        return {str(name): to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def from_json(kind: type[T], value: Any, where: str | None = None) -> T:
    """Build a record of ``kind`` from what ``to_json`` wrote.

    Text in it comes from outside: it is ``Untrusted``, and never imported.

    Args:
        kind: the dataclass.
        value: a parsed JSON object.
        where: what errors call the object; by default the name of ``kind``, without the ``_`` that
            a private one begins with.

    Raises:
        UsageError: a key is missing or unknown, or a value of the wrong type or out of range.
    """
    record: T = _decode(kind, value, where or kind.__name__.lstrip("_"))
    return record


def flat(record: Any) -> dict[str, Any]:
    """Return the fields of a record with the parts of its values side by side: ``predicted_ms``.

    What else it holds (an architecture, a path) is left as it is.
    """
    found: dict[str, Any] = {}
    for name, kind in get_type_hints(type(record)).items():
        value = getattr(record, name)
        if parts := _parts(kind):
            for part, (spelling, *_) in parts.items():
                found[spelling.format(name)] = None if value is None else getattr(value, part)
        else:
            found[name] = value
    return found


def write(path: Path, record: Any) -> None:
    """Write one record to a JSON file, whole or not at all."""
    write_json(path, to_json(record))


def read(path: Path, kind: type[T]) -> T:
    """Read the one record of a JSON file; errors name the file."""
    return _named(path, kind, read_json(path))


def read_if_written(path: Path, kind: type[T]) -> T | None:
    """Read the one record of a JSON file as ``read`` does, or return None where there is none."""
    return read(path, kind) if is_written(path) else None


def append(path: Path, record: Any) -> None:
    """Add one record as a line to a JSON-lines file, and wait until it is on the disk.

    The file is made with its first line in it. What a kill left of an unfinished last line is
    removed first.

    Raises:
        BneckError: the file cannot be written (full disk, no permission).
    """
    json_lines.append_bytes(path, _line(record))


def write_lines(path: Path, records: Iterable[Any]) -> None:
    """Write records as the lines of a JSON-lines file, whole or not at all."""
    write_whole(path, b"".join(map(_line, records)))


def _line(record: Any) -> bytes:
    return json.dumps(to_json(record), allow_nan=False, separators=(",", ":")).encode() + b"\n"


def read_lines(path: Path, kind: type[T]) -> tuple[T, ...]:
    """Return all records of a JSON-lines file; none where there is no file.

    Raises:
        UsageError: a line is not a record of ``kind``; the message names file and line.
    """
    return tuple(_named(where, kind, value) for where, value in json_lines.read_lines(path))


def _named(where: object, kind: type[T], value: Any) -> T:
    try:
        return from_json(kind, value)
    except BneckError as error:  # a record refuses numbers that nothing can have measured
        raise UsageError(f"{where}: {error}") from None


def _decode(kind: Any, value: Any, where: str) -> Any:
    if get_origin(kind) is UnionType:
        inner = next(item for item in get_args(kind) if item is not NoneType)
        return None if value is None else _decode(inner, value, where)
    if hasattr(kind, "from_json"):
        return kind.from_json(value)
    if is_dataclass(kind):
        return _decode_record(kind, value, where)
    origin = get_origin(kind)
    if origin in (tuple, list):
        items = _typed(list, value, where)
        kinds = get_args(kind)
        if origin is list or kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(items)
        if len(items) != len(kinds):
            raise UsageError(f"{where} must be {len(kinds)} values, got {value!r:.60}")
        pairs = enumerate(zip(kinds, items, strict=True))
        return origin(_decode(one, item, f"{where}[{i}]") for i, (one, item) in pairs)
    if origin in (Mapping, dict):
        pairs = _typed(dict, value, where).items()
        return {
            Untrusted(name): _decode(get_args(kind)[1], item, f"{where}.{name:.60}")
            for name, item in pairs
        }
    if kind is float:
        number = _typed(int | float, value, where)
        if not is_finite(value):
            raise UsageError(f"{where} must be a finite number, got {value!r:.60}")
        return float(number)
    if kind is str:
        return Untrusted(_typed(str, value, where))
    return _typed(kind, value, where)


def _decode_record(kind: Any, value: Any, where: str) -> Any:
    hints = get_type_hints(kind)
    given = _lifted(_typed(dict, value, where), hints)
    declared = {item.name: item for item in _public(kind)}
    for name in given:
        if name not in declared:
            raise unknown(f"key in {where}:", name[:60], declared)
    for name, item in declared.items():
        required = item.default is MISSING and item.default_factory is MISSING
        if required and name not in given:
            raise UsageError(f"{where} lacks the key {name!r}")
    values = {name: _decode(hints[name], item, f"{where}.{name}") for name, item in given.items()}
    with naming(where):
        return kind(**values)


def _public(kind: Any) -> list[Field[Any]]:
    """The fields that are written: what begins with _ is computed again."""
    return [item for item in fields(kind) if not item.name.startswith("_")]


_SPELT_OUT: Mapping[type, Mapping[str, tuple[str, ...]]] = {
    Accuracy: {"value": ("{}",), "stderr": ("{}_stderr", "stderr")},
    Latency: {"ms": ("{}_ms",), "std_ms": ("{}_std_ms",)},
}
"""Names of the parts of a value that is a field of a record: today's first, then older ones."""


def _parts(kind: Any) -> Mapping[str, tuple[str, ...]]:
    """The spellings of a value's parts, of a type that may also be None; {} for other types."""
    return next((_SPELT_OUT[one] for one in (kind, *get_args(kind)) if one in _SPELT_OUT), {})


def _lifted(given: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """The same object with values in one piece, where an older version spelt out their parts."""
    lifted = dict(given)
    for name, kind in hints.items():
        parts = _parts(kind)
        if isinstance(lifted.get(name), dict):
            continue
        found = {
            part: lifted.pop(old)
            for part, spellings in parts.items()
            for old in (one.format(name) for one in spellings)
            if old in lifted and (old == name or old not in hints)
        }
        if found:
            lifted[name] = None if found.get(next(iter(parts))) is None else found
    return lifted


def _typed(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, kind) or (kind in (int, int | float) and isinstance(value, bool)):
        raise UsageError(f"{where} must be {_IN_WORDS.get(kind, 'a number')}, got {value!r:.60}")
    return value


_IN_WORDS: Mapping[Any, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a whole number",
    bool: "true or false",
}
