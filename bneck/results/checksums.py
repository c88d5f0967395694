"""Checksums of a run's files, written when a command ends: what was changed since can be told."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from bneck import records
from bneck.files import is_written, sha256, write_json
from bneck.results.lease import LEASE
from bneck.results.lock import LOCK
from bneck.results.run_files import only_shows
from bneck.results.run_folder import check_files

CHECKSUMS = "checksums.json"
_LEFT_OUT = (CHECKSUMS, LOCK, LEASE)
_FOLDER_LEFT_OUT = "checkpoints"


def seal(folder: Path, removed: Mapping[str, str] = MappingProxyType({})) -> None:
    """Write down the SHA-256 of each of the run's files; reports and checkpoints are left out.

    ``removed`` are the digests of files that somebody else has removed: they stay named.
    """
    digests = {name: sha256(folder / name) for name in _files(folder)}
    write_json(folder / CHECKSUMS, dict(sorted((dict(removed) | digests).items())))


def changed(folder: Path) -> tuple[str, ...]:
    """Return the files that were changed or removed since the run was sealed, or came since.

    Nothing is told of a run that is not sealed: it has not ended, or an earlier version wrote it.

    Raises:
        UsageError: the checksums make no sense, or something in the folder is not a file.
    """
    check_files(folder)
    if not is_written(folder / CHECKSUMS):
        return ()
    kept = records.read(folder / CHECKSUMS, dict[str, str])
    there = set(_files(folder))
    return tuple(
        name
        for name in sorted({*kept, *there})
        if name not in there or sha256(folder / name) != kept.get(name)
    )


def missing(folder: Path) -> dict[str, str]:
    """Return the SHA-256 that files had which were removed since the run was sealed.

    Raises:
        UsageError: the checksums make no sense.
    """
    kept = records.read_if_written(folder / CHECKSUMS, dict[str, str]) or {}
    there = set(_files(folder))
    return {name: digest for name, digest in kept.items() if name not in there}


def _files(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        if Path(place) == folder:
            folders[:] = [name for name in folders if name != _FOLDER_LEFT_OUT]
        for path in (Path(place, name) for name in files if name not in _LEFT_OUT):
            file = path.relative_to(folder)
            if not only_shows(file) and not path.is_symlink():
                yield file.as_posix()
