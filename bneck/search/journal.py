"""The study's journal on disk, written once a trial instead of once a choice.

Optuna's own file backend locks the file and waits for the disk at every choice of every network: 25
to 50 ms for 70 choices. A run has one driver, held by the run's lock, so its operations can be kept
back until a trial changes its state. The file is Optuna's format, line by line: optuna-dashboard
and ``JournalFileBackend`` read it, while the search goes on too.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend
from optuna.storages.journal._storage import JournalOperation

from bneck.errors import BneckError

_AT_ONCE = (JournalOperation.CREATE_STUDY, JournalOperation.SET_TRIAL_STATE_VALUES)


class Journal(BaseJournalBackend):
    """A journal with a single writer, whose last line is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: list[str] = []
        self._recent: list[dict[str, Any]] = []
        self._recent_from: int | None = None

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The file's operations at the first call, and what was appended since at later ones."""
        if self._recent_from is None:
            self._recent_from = 0
            yield from self._read_file(log_number_from)
            return
        del self._recent[: log_number_from - self._recent_from]
        self._recent_from = log_number_from
        yield from list(self._recent)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Take operations in; a change of state writes them and all before them."""
        self._recent += logs
        self._held += [json.dumps(log, separators=(",", ":")) + "\n" for log in logs]
        if any(log["op_code"] in _AT_ONCE for log in logs):
            self.flush()

    def flush(self) -> None:
        """Write what is kept back, and wait until it is on the disk.

        Raises:
            BneckError: the file cannot be written (full disk, no permission).
        """
        if not self._held:
            return
        content = "".join(self._held).encode()
        try:
            with self._path.open("ab", buffering=0) as file:
                end = file.tell()
                if file.write(content) != len(content):
                    file.truncate(end)
                    raise OSError("no space left")
                os.fsync(file.fileno())
        except OSError as error:
            raise BneckError(f"cannot write {self._path}: {error.strerror or error}") from error
        self._held.clear()

    def _read_file(self, start: int) -> Iterator[dict[str, Any]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for number, line in enumerate(file):
                self._recent_from = number + 1
                if number >= start:
                    yield json.loads(line)
