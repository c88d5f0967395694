"""Checksums of a run's files, written when a command ends: what was changed since can be told."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from bneck import records
from bneck.files import is_written, write_json
from bneck.results.lease import LEASE
from bneck.results.lock import LOCK
from bneck.results.run_folder import check_files

CHECKSUMS = "checksums.json"
_LEFT_OUT = (
    CHECKSUMS,
    LOCK,
    LEASE,
    "report.html",
    "model_card.md",
    "likeness.json",
    "likeness.svg",
)
"""What commands that only look at a run write again."""
_FOLDERS_LEFT_OUT = ("pictures", "checkpoints")


def seal(folder: Path) -> None:
    """Write down the SHA-256 of each of the run's files; reports and checkpoints are left out."""
    digests = {name: _digest(folder / name) for name in sorted(_files(folder))}
    write_json(folder / CHECKSUMS, digests)


def changed(folder: Path) -> tuple[str, ...]:
    """Return the files that were changed or removed since the run was sealed, or came since.

    Nothing is told of a run that is not sealed: it has not ended, or an earlier version wrote it.

    Raises:
        UsageError: the checksums make no sense, or something in the folder is no file.
    """
    check_files(folder)
    if not is_written(folder / CHECKSUMS):
        return ()
    kept = records.read(folder / CHECKSUMS, dict[str, str])
    there = set(_files(folder))
    return tuple(
        name
        for name in sorted({*kept, *there})
        if name not in there or _digest(folder / name) != kept.get(name)
    )


def _files(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        if Path(place) == folder:
            folders[:] = [name for name in folders if name not in _FOLDERS_LEFT_OUT]
        for name in files:
            path = Path(place, name)
            if name not in _LEFT_OUT and not path.is_symlink():
                yield path.relative_to(folder).as_posix()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
