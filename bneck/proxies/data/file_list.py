"""The files below a folder, without what systems leave behind there. No file is opened here."""

import errno
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LEFT_BEHIND = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "lost+found"),
    *("$recycle.bin", "system volume information"),
}
"""Files and folders, in any case, that systems leave among a user's files."""
SINGULAR = {
    "broken links": "broken link",
    "links to folders seen before": "link to a folder seen before",
    "special files": "special file",
}
"""What is passed over of which there may be one, in words, and what one is called."""
Stamp = tuple[int, int]
"""What tells whether a file is the same: (bytes, time of the last change in ns)."""


def stamp_of(known: os.stat_result) -> Stamp:
    """Return the stamp of a file of which the system says this."""
    return known.st_size, known.st_mtime_ns


def files_below(folder: Path) -> list[Path]:
    """List all files below a folder, in order, without what systems leave behind."""
    return [folder / path for path, _ in listed(folder, Counter())]


def listed(folder: Path, passed_over: Counter[str]) -> list[tuple[str, Stamp]]:
    """List files below a folder as (relative path, stamp), in the order of their paths' parts.

    A linked folder is followed, each folder once; not one that ``folder`` itself lies in, such as
    that of all classes, whose images would be taken for those of one.

    Args:
        folder: where to look.
        passed_over: counts by name what is left out, such as hidden files.
    """
    around = set()
    for one in {*folder.absolute().parents, *folder.resolve().parents}:
        with suppress(OSError):  # which the working directory may lie in nonetheless
            around.add(_identity(os.stat(one)))
    found = list(_below(str(folder), "", passed_over, around))
    return sorted(found, key=lambda one: one[0].split("/"))


def is_left_behind(name: str) -> bool:
    """Whether a file or folder is hidden, or one that systems leave behind."""
    return name.startswith(".") or name.lower() in LEFT_BEHIND


def count_left_behind(folder: Path, passed_over: Counter[str]) -> None:
    """Count by name what is left behind in a folder itself, not below it."""
    passed_over.update(_kind(one.name) for one in folder.iterdir() if is_left_behind(one.name))


def _kind(name: str) -> str:
    """What a file or folder that is left behind is counted as."""
    is_hidden = name.startswith(".") and name != ".ipynb_checkpoints"
    return "hidden" if is_hidden else name


def _below(
    folder: str, prefix: str, passed_over: Counter[str], seen: set[tuple[int, int]]
) -> Iterator[tuple[str, Stamp]]:
    this = _identity(os.stat(folder))
    if this in seen:
        passed_over["links to folders seen before"] += 1
        return
    seen.add(this)
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: (one.is_symlink(), one.name)):
            if is_left_behind(entry.name):
                passed_over[_kind(entry.name)] += 1
            elif _links_to_itself(entry):
                passed_over["broken links"] += 1
            elif entry.is_dir():
                yield from _below(entry.path, f"{prefix}{entry.name}/", passed_over, seen)
            elif entry.is_file():
                yield f"{prefix}{entry.name}", stamp_of(entry.stat())
            else:
                passed_over["broken links" if entry.is_symlink() else "special files"] += 1


def _identity(about: os.stat_result) -> tuple[int, int]:
    """What tells a file or folder of the system from any other, whatever path leads there."""
    return about.st_dev, about.st_ino


def _links_to_itself(entry: os.DirEntry[str]) -> bool:
    """Whether it is a link that leads back to itself, which is no more of a file than a broken one.

    Raises:
        OSError: what it leads to must not be looked at.
    """
    try:
        entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return True
    return False
