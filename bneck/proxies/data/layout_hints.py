"""What a folder was probably meant to be that is not laid out as a set of images."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from bneck.errors import UsageError
from bneck.proxies.data.file_list import is_left_behind

_LABELS = (".csv", ".tsv", ".json", ".xml", ".xlsx")
"""Suffixes of the tables of labels that people keep beside images."""


def subfolders(folder: Path) -> dict[str, Path]:
    """Return the folders in a folder by name, without what systems leave behind."""
    return {
        entry.name: entry
        for entry in folder.iterdir()
        if entry.is_dir() and not is_left_behind(entry.name)
    }


def too_few(folder: Path, classes: Mapping[str, Path]) -> UsageError:
    """Return the error on a folder with fewer than two classes: what was found, and what helps."""
    inner = next(iter(classes.values()), None)
    found, hint = "none" if inner is None else f"one ({inner.name})", ""
    if inner is not None and len(subfolders(inner)) > 1:
        hint = f"; are those in {inner} meant?"
    elif tables := sorted(one.name for one in folder.iterdir() if one.suffix.lower() in _LABELS):
        hint = (
            f"; labels in a table ({tables[0]}) are not read: docs/images.md shows how to lay out "
            "images by one"
        )
    return UsageError(
        f"{folder} must hold at least 2 folders of images, one for each class; found {found}{hint}"
    )


def check_no_parts(
    folder: Path, classes: Mapping[str, Path], words: Mapping[str, Collection[str]]
) -> None:
    """Refuse classes such as ``seg_train`` and ``seg_test`` that hold folders: they are parts.

    Args:
        folder: the set's own.
        classes: what would be taken for its classes.
        words: by part, the names that its folder may have.

    Raises:
        UsageError: naming one folder of each such part.
    """
    holding = [name for name, place in classes.items() if subfolders(place)]
    found = {}
    for part, known in words.items():
        of_part = (name for name in sorted(holding) if {*known} & {*_words(name)})
        if (name := next(of_part, None)) is not None:
            found[part] = name
    if "train" in found and len(found) > 1:
        shown = ", ".join(f"{name} {part}" for part, name in found.items())
        raise UsageError(
            f"{folder} has {' and '.join(found.values())}, which look like parts of a set, not "
            f"like classes; to be read as parts they need plain names: {shown}"
        )


def _words(name: str) -> list[str]:
    return re.split(r"[^a-z]+", name.lower())
