"""Architectures as JSON and back: strict, so that a misspelt word never builds another network."""

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from bneck import records
from bneck.errors import UsageError, unknown
from bneck.files import naming, read_json
from bneck.space.architecture import Architecture, check_block_count
from bneck.space.blocks import BLOCKS, PlainConv
from bneck.space.heads import HEADS

FORMAT = "bneck.architecture/1"
T = TypeVar("T")


def to_json(arch: Architecture) -> dict[str, Any]:
    """A JSON object that ``from_json`` turns back into an equal architecture."""
    return {
        "format": FORMAT,
        "resolution_px": arch.resolution_px,
        "classes": arch.classes,
        "norm": arch.norm,
        "stem": _tagged(BLOCKS, "block", arch.stem),
        "stages": [[_tagged(BLOCKS, "block", block) for block in stage] for stage in arch.stages],
        "head": _tagged(HEADS, "head", arch.head),
    }


def key(arch: Architecture) -> str:
    """16 hexadecimal digits that name the architecture's content (SHA-256 of canonical JSON)."""
    canonical = json.dumps(to_json(arch), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def from_json(value: Any) -> Architecture:
    """Build the architecture that ``to_json`` wrote.

    Raises:
        UsageError: a key is missing, unknown or of the wrong type, or a value is out of range.
    """
    top = _top(value)
    if top["format"] != FORMAT:
        raise UsageError(f"architecture format must be {FORMAT!r}, got {top['format']!r:.60}")
    stem = _untagged(BLOCKS, "block", top["stem"], "stem")
    if not isinstance(stem, PlainConv):
        raise UsageError(f"stem must be a block of kind 'conv', got {top['stem']['block']!r:.60}")
    found = [
        _list(stage, f"stage s{s}") for s, stage in enumerate(_list(top["stages"], "stages"), 1)
    ]
    check_block_count(sum(map(len, found)))  # before a million of them are built
    stages = tuple(
        tuple(
            _untagged(BLOCKS, "block", block, f"s{s}.b{b}")
            for b, block in enumerate(stage, start=1)
        )
        for s, stage in enumerate(found, start=1)
    )
    return Architecture(
        stem=stem,
        stages=stages,
        head=_untagged(HEADS, "head", top["head"], "head"),
        classes=top["classes"],
        resolution_px=top["resolution_px"],
        norm=top["norm"],
    )


def load(path: Path) -> Architecture:
    """Read an architecture from a JSON file; errors name the file."""
    value = read_json(path)
    with naming(path):
        return from_json(value)


def _tagged(table: dict[str, type[T]], tag: str, value: T) -> dict[str, Any]:
    word = next((word for word, kind in table.items() if kind is type(value)), None)
    if word is None:
        raise UsageError(f"{type(value).__name__} has no word among the {tag}s: {', '.join(table)}")
    content = {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]
    return {tag: word, **content}


def _untagged(table: dict[str, type[T]], tag: str, value: Any, where: str) -> T:
    if not isinstance(value, dict) or tag not in value:
        raise UsageError(f"{where} must be an object with the key {tag!r}, got {value!r:.60}")
    word = value[tag]
    if not isinstance(word, str) or word not in table:
        raise unknown(tag, word, table, f", and {tag}s of your own that are imported first")
    content = {name: item for name, item in value.items() if name != tag}
    return records.from_json(table[word], content, where)


def _top(value: Any) -> dict[str, Any]:
    """The whole object, which must have all of its keys and no others."""
    keys = ("classes", "format", "head", "norm", "resolution_px", "stages", "stem")
    if not isinstance(value, dict):
        raise UsageError(f"architecture must be a JSON object, got {value!r:.60}")
    for name in value:
        if name not in keys:
            raise unknown("key in architecture:", name, keys)
    for name in keys:
        if name not in value:
            raise UsageError(f"architecture lacks the key {name!r}")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise UsageError(f"{where} must be a JSON list, got {value!r:.60}")
    return value
