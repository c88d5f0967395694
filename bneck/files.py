"""Files that are written whole or not at all, and JSON read without surprises."""

import csv
import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from bneck.errors import UsageError, cannot
from bneck.json_text import parse_json
from bneck.locks import is_still_at
from bneck.path_checks import check_file
from bneck.text import spelt_out


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it over ``path``.

    Raises:
        BneckError: the file cannot be written (full disk, no permission).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        with _temporary(path) as temporary:
            write(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    except OSError as error:
        raise cannot("write", path, error) from error


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Make a file beside ``path``, locked by this process; it goes unless it was renamed."""
    while True:
        temporary = path.with_name(f"{_stem(path)}{secrets.token_hex(4)}")
        temporary.touch(exist_ok=False)  # with the rights that the umask leaves
        try:
            if (held := _locked_at_once(temporary)) is not None:
                with held:
                    yield temporary
                return
        finally:
            with suppress(OSError):  # on a read-only disk: what could not be made need not go
                temporary.unlink(missing_ok=True)


def _locked_at_once(temporary: Path) -> IO[bytes] | None:
    """Open and lock a new file; None if another process took it for abandoned before that."""
    with suppress(FileNotFoundError):
        held = temporary.open("rb+", buffering=0)  # NFS locks no file that is only read
        with suppress(OSError):  # a file system without locks
            fcntl.flock(held, fcntl.LOCK_EX)
        if is_still_at(temporary, held):
            return held
        held.close()
    return None


def _stem(path: Path) -> str:
    """What the names of a file's temporary files begin with: this machine's.

    Machines may share a folder and not the locks of its files.
    """
    machine = hashlib.sha256(os.uname().nodename.encode()).hexdigest()[:4]
    return f".{path.name[:50]}.{machine}"


def _remove_abandoned(path: Path) -> None:
    """Remove what killed processes left of ``path``: temporary files that nobody has locked."""
    begins, found = _stem(path), []
    with suppress(OSError):  # a folder that cannot be listed
        found = [one for one in os.scandir(path.parent) if one.name.startswith(begins)]
    for one in found:
        if _is_temporary(one.name):
            with suppress(OSError), open(one.path, "rb+") as file:  # locked, or not ours
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(one.path)


def _is_temporary(name: str) -> bool:
    return re.fullmatch(r"\..+\.[0-9a-f]{12}", name) is not None


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files that a killed ``write_with`` left in ``folder`` and below it."""
    for path in folder.rglob(".*"):
        if _is_temporary(path.name) and not path.is_dir():
            path.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace ``path`` by ``content`` in one step; what no UTF-8 can hold is spelt out."""
    data = spelt_out(content).encode() if isinstance(content, str) else content
    write_with(path, lambda temporary: temporary.write_bytes(data))


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable JSON; NaN and infinities are refused, for they are not JSON."""
    write_whole(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def is_written(path: Path) -> bool:
    """Whether there is a file with content, of JSON lines with a whole line.

    Earlier versions, and a power loss, could leave one that is empty, torn or all zeros: that is as
    good as none.
    """
    try:
        with path.open("rb") as file:
            if path.suffix == ".jsonl":
                return any(line.strip(b"\0\n ") and line.endswith(b"\n") for line in file)
            return bool(file.read(4096).strip(b"\0\r\n\t "))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return False
    except OSError as error:
        raise cannot("read", path, error) from error


def is_binary(path: Path) -> bool:
    """Return whether a file has a zero byte near its beginning, which no text has."""
    try:
        with path.open("rb") as file:
            return b"\0" in file.read(4096)
    except OSError as error:
        raise cannot("read", path, error) from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex digits as ``sha256sum`` prints it.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_sha256(path: Path) -> str:
    """Return the first 12 hex digits of the SHA-256 of a file's content, which tell files apart.

    Raises:
        OSError: the file cannot be read.
    """
    return sha256(path)[:12]


def path_of(text: str) -> Path:
    """Return the path that a word has behind its colon, where no shell resolves ``~``."""
    return Path(os.path.expanduser(text))


def cache_folder() -> Path:
    """Return ``$BNECK_CACHE``, ``$XDG_CACHE_HOME/bneck`` or ``~/.cache/bneck``.

    What is there can be made again.

    Raises:
        UsageError: the user has no home folder, as many in containers have none.
    """
    place = os.environ.get("BNECK_CACHE") or _usual_cache()
    try:
        return Path(place).expanduser()
    except RuntimeError:
        raise UsageError(f"no home folder for {place}: BNECK_CACHE names another folder") from None


def _usual_cache() -> str:
    """The cache of the user's system, unless only an earlier version's is there: it holds much."""
    earlier, caches = "~/.cache/bneck", os.environ.get("XDG_CACHE_HOME", "")
    usual = os.path.join(caches, "bneck")
    stays = os.path.isdir(os.path.expanduser(earlier)) and not os.path.isdir(usual)
    return usual if os.path.isabs(caches) and not stays else earlier


@contextmanager
def naming(where: object) -> Iterator[None]:
    """Let the errors of a bad file, or a part of it, say where it is."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def read_text(path: Path) -> str:
    """All text of a file that the user named, in UTF-8, without a byte order mark.

    Raises:
        UsageError: the file is missing, unreadable or not text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        check_file(path)
        raise
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text in UTF-8: {error.reason}") from error


def csv_rows(lines: Iterable[str], path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of its last line, fields) of each row of a CSV; blank lines are passed over.

    Raises:
        UsageError: a field that is too long; the message names ``path`` and the line.
    """
    reader = csv.reader(lines)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: {error}") from None


def read_json(path: Path) -> Any:
    """Parse one JSON file.

    Raises:
        UsageError: the file is missing, unreadable or not JSON.
    """
    try:
        return parse_json(read_text(path))
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from error
