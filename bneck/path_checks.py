"""Whether there is a file or folder, or could be one, asked before any work begins."""

import os
from pathlib import Path

from bneck.errors import BneckError, UsageError


def check_file(path: Path) -> None:
    """Raise UsageError where there is no such file."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a file")
    if not path.is_file():
        raise UsageError(f"{path} is no regular file" if path.exists() else f"no such file: {path}")


def check_folder(path: Path) -> None:
    """Raise UsageError where there is no such folder."""
    if not path.is_dir():
        raise UsageError(
            f"{path} is a file, not a folder" if path.exists() else f"no such folder: {path}"
        )


def check_new_file(path: Path) -> None:
    """Raise an error where no file can be: at a folder, or where its folder cannot be.

    Nor does one take the place of a device, which a rename would remove from the system.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no regular file: name another")
    check_new_folder(path.parent)


def check_beside(path: Path, suffix: str) -> None:
    """Raise UsageError where nothing can be written beside ``path`` without replacing another's.

    That is a file of its name with another suffix which is there while ``path`` itself is not.
    """
    beside = path.with_suffix(suffix)
    if os.path.lexists(beside) and not path.exists():
        raise UsageError(f"{beside} would be replaced: name another file, or move it away")
    check_new_file(beside)


def check_new_folder(path: Path) -> None:
    """Raise an error where no folder can be written, before the work whose result goes there.

    Raises:
        UsageError: it is a file, is below one, or a link on the way leads nowhere.
        BneckError: the system lets nothing be written there.
    """
    for place in (path, *path.parents):
        if place.is_dir():
            if not os.access(place, os.W_OK | os.X_OK):
                raise BneckError(f"{place.absolute()} is not writable")
            return
        if place.is_symlink() and not place.exists():
            raise UsageError(f"{place} is a link that leads nowhere")
        if place.exists():
            check_folder(place)


def check_no_link(path: Path, *, of: str) -> None:
    """Raise UsageError where the path is a symbolic link, which ``of`` does not write through."""
    if path.is_symlink():
        raise UsageError(
            f"{path} is a symbolic link, which {of} does not write through; put the file "
            "or folder itself there"
        )
