"""Scores that survive an interruption: one JSON line per network in the cache folder."""

import hashlib
import json
from contextlib import suppress
from typing import Any, Self

from bneck import __version__
from bneck.files import cache_folder
from bneck.json_text import parse_json
from bneck.space.architecture import Architecture
from bneck.space.codec import key


class ScoreCache:
    """The scores of networks so far, in a file named by all that decides them.

    As a context manager it removes the file at the end of the block, unless Ctrl-C or a signal ends
    the block.

    Args:
        made_with: all that decides a score besides the network and bneck's version.
    """

    def __init__(self, made_with: object) -> None:
        digest = hashlib.sha256(repr((__version__, made_with)).encode()).hexdigest()[:16]
        self._path = cache_folder() / "scores" / f"{digest}.jsonl"
        self._rows: dict[str, Any] = {}
        lines: list[str] = []
        with suppress(OSError):  # there is none yet, or none that can be read
            lines = self._path.read_text(errors="replace").splitlines()
        for line in lines:
            with suppress(ValueError, TypeError):  # a line that was cut off is scored again
                name, row = parse_json(line)
                self._rows[name] = row

    def get(self, arch: Architecture) -> Any:
        """Return what ``put`` kept of this network, or None."""
        return self._rows.get(key(arch))

    def put(self, arch: Architecture, row: Any) -> None:
        """Keep it; a cache that cannot be written is ignored."""
        self._rows[key(arch)] = row
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write("\n" + json.dumps([key(arch), row]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, Exception):
            with suppress(OSError):  # there is none, or none that can be removed
                self._path.unlink()
