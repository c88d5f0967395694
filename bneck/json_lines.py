"""JSON-lines files, which grow by whole lines: a kill leaves at most an unfinished last one."""

import errno
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from bneck.errors import UsageError, cannot
from bneck.files import write_whole
from bneck.json_text import parse_json


def append_bytes(path: Path, lines: bytes, *, sync: bool = True) -> None:
    """Add whole lines to a file, all of them or none, and wait until they are on the disk.

    Args:
        path: made with these lines in it where there is none.
        lines: whole lines, each with its newline.
        sync: whether to wait for the disk; without it they are there no later than what is added
            after them.

    Raises:
        BneckError: the file cannot be written (full disk, no permission).
    """
    if not path.exists():
        write_whole(path, lines)
        return
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb+", buffering=0) as file:
            end = _whole_end(file)
            file.truncate(end)
            file.seek(end)
            if file.write(lines) != len(lines):
                file.truncate(end)
                raise OSError(errno.ENOSPC, "no space left")
            if sync:
                os.fsync(file.fileno())
    except OSError as error:
        raise cannot("write", path, error) from error


def read_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield where each line is, in words, and its JSON value; nothing where there is no file.

    A last line without its line end was being written when the process died, and is left out, as
    blank lines are.

    Raises:
        UsageError: a line that is not JSON; the message names file and line.
    """
    if not path.exists():
        return
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise cannot("read", path, error) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            value = parse_json(line)
        except ValueError as error:
            raise UsageError(f"{where} is not valid JSON: {error}") from None
        yield where, value


def _whole_end(file: FileIO) -> int:
    """Where the last whole line of the file ends, in bytes."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    if size == 0 or file.read(1) == b"\n":
        return size
    file.seek(0)
    return file.readall().rfind(b"\n") + 1
