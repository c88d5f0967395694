"""The study's journal on disk: written once a trial, read for reports without a replay.

Optuna's own file backend locks the file and waits for the disk at every choice of every network: 25
to 50 ms for 70 choices. A run has one driver, held by the run's lock, so its operations can be kept
back until a trial changes its state. The file is Optuna's format, line by line: optuna-dashboard
and ``JournalFileBackend`` read it, even during a search.

Reports read the finished trials as data: Optuna's own replay copies each trial at every choice,
most of ten seconds for 2,000 networks of 60 choices. A journal of ours has one study and one
writer, so its trials are numbered as created.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import TrialState

from bneck.errors import BneckError, UsageError

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


@dataclass
class JournalTrial:
    """One trial as far as the journal tells it."""

    number: int
    state: TrialState = TrialState.RUNNING
    values: list[float] | None = None
    params: dict[str, Any] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)


def finished_trials(journal: Path) -> list[JournalTrial]:
    """The trials that are complete or failed, in order; the journal may be written meanwhile.

    Raises:
        UsageError: a whole line that is not of Optuna's format; names the line.
    """
    trials: list[JournalTrial] = []
    for number, line in enumerate(_whole_lines(journal), start=1):
        try:
            _apply(json.loads(line), trials)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise UsageError(f"{journal}, line {number} is no Optuna journal's: {error}") from None
    return [told for told in trials if told.state in (TrialState.COMPLETE, TrialState.FAIL)]


def _whole_lines(journal: Path) -> Iterator[bytes]:
    """A last line without its end is still being written."""
    with journal.open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))


def _apply(log: dict[str, Any], trials: list[JournalTrial]) -> None:
    operation = log["op_code"]
    if operation == JournalOperation.CREATE_TRIAL:
        state = TrialState(log.get("state", TrialState.RUNNING))
        trials.append(JournalTrial(len(trials), state, user_attrs=dict(log.get("user_attrs", {}))))
    elif operation == JournalOperation.SET_TRIAL_PARAM:
        choices = _choices(log["distribution"])
        chosen = choices[int(log["param_value_internal"])]
        trials[log["trial_id"]].params[log["param_name"]] = chosen
    elif operation == JournalOperation.SET_TRIAL_STATE_VALUES:
        told = trials[log["trial_id"]]
        if not told.state.is_finished():
            told.state = TrialState(log["state"])
            told.values = log["values"] or told.values
    elif operation == JournalOperation.SET_TRIAL_USER_ATTR:
        trials[log["trial_id"]].user_attrs.update(log["user_attr"])


@lru_cache(maxsize=4096)
def _choices(distribution: str) -> list[Any]:
    choices: list[Any] = json.loads(distribution)["attributes"]["choices"]
    return choices
