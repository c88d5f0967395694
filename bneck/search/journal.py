"""The trials of a search on disk, in the format of Optuna's journals.

Optuna's own tools open the file (``optuna.load_study``, optuna-dashboard), even during a search.
Optuna itself writes a line for every choice of every network, and copies each trial at every line
it reads. Here a proposal is one line with all of its choices, its result is a few short ones, and
the file is read once, as data. A journal has one study and one writer, who holds the run's lock;
so its trials are numbered as created.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from bneck.errors import UsageError, cannot
from bneck.json_lines import append_bytes
from bneck.space.choices import Allowed, Space, Values

STUDY = "bneck"
"""Name of the one study in a journal."""
WRITER = "bneck"
Item = TypeVar("Item")


class Operation(IntEnum):
    """Kinds of lines that matter here, by Optuna's numbers (``JournalOperation``)."""

    CREATE_STUDY = 0
    CREATE_TRIAL = 4
    SET_TRIAL_PARAM = 5
    SET_TRIAL_STATE_VALUES = 6
    SET_TRIAL_USER_ATTR = 8
    SET_TRIAL_SYSTEM_ATTR = 9


class State(IntEnum):
    """States of a trial, by Optuna's numbers (``TrialState``)."""

    RUNNING = 0
    COMPLETE = 1
    PRUNED = 2
    FAIL = 3
    WAITING = 4


FINISHED = (State.COMPLETE, State.PRUNED, State.FAIL)


@dataclass(slots=True)
class JournalTrial:
    """One trial as far as the journal tells it.

    Attributes:
        whole: it was created with all of its choices, by one line.
    """

    number: int
    state: State = State.RUNNING
    values: list[float] | None = None
    params: Values = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    whole: bool = False


@dataclass(slots=True)
class JournalContent:
    """What a journal holds.

    Attributes:
        trials: in the order of their proposals.
        finished: their numbers in the order in which they finished.
        begun: the study was created.
    """

    trials: list[JournalTrial] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    begun: bool = False


def read_journal(path: Path) -> JournalContent:
    """Return what the journal holds; it may be written meanwhile. Blank lines are passed over.

    Raises:
        UsageError: a whole line is not of Optuna's format (names the line).
        BneckError: the file cannot be read.
    """
    content = JournalContent()
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                if line.strip():
                    _read_line(path, number, line, content)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise cannot("read", path, error) from error
    return content


def _read_line(path: Path, number: int, line: bytes, content: JournalContent) -> None:
    try:
        _apply(json.loads(line), content)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path}, line {number} is not a line of an Optuna journal "
            f"({type(error).__name__}: {error}); restore or remove that line"
        ) from None


def _apply(log: dict[str, Any], content: JournalContent) -> None:
    operation, trials = log["op_code"], content.trials
    if operation == Operation.CREATE_STUDY:
        content.begun = True
    elif operation == Operation.CREATE_TRIAL:
        distributions = log.get("distributions", {})
        params = {
            sys.intern(name): _item(_choices(distributions[name]), int(place))
            for name, place in log.get("params", {}).items()
        }
        state = State(log.get("state", State.RUNNING))
        user_attrs, system_attrs = {**log.get("user_attrs", {})}, {**log.get("system_attrs", {})}
        trial = JournalTrial(len(trials), state, None, params, user_attrs, system_attrs)
        trial.whole = bool(params)
        trials.append(trial)
    elif operation == Operation.SET_TRIAL_PARAM:
        choices = _choices(log["distribution"])
        chosen = _item(choices, int(log["param_value_internal"]))
        _item(trials, log["trial_id"]).params[sys.intern(log["param_name"])] = chosen
    elif operation == Operation.SET_TRIAL_STATE_VALUES:
        trial = _item(trials, log["trial_id"])
        if trial.state not in FINISHED:
            trial.state = State(log["state"])
            trial.values = [*(log["values"] or ())] or trial.values
            if trial.state in FINISHED:
                content.finished.append(trial.number)
    elif operation == Operation.SET_TRIAL_USER_ATTR:
        _item(trials, log["trial_id"]).user_attrs.update(log["user_attr"])
    elif operation == Operation.SET_TRIAL_SYSTEM_ATTR:
        _item(trials, log["trial_id"]).system_attrs.update(log["system_attr"])


def _item(items: Sequence[Item], number: int) -> Item:
    """The item of that number; Python would count negative ones from the end."""
    if number < 0:
        raise IndexError(f"{number} is below 0")
    return items[number]


@lru_cache(maxsize=4096)
def _choices(distribution: str) -> Allowed:
    """Choices of a categorical distribution, in Optuna's long or abbreviated form."""
    kind = json.loads(distribution)
    return tuple((kind["attributes"] if "name" in kind else kind)["choices"])


class Journal:
    """The single writer of a journal; ``content`` is what was there when it was opened."""

    def __init__(self, path: Path, space: Space, *, directions: Sequence[str]) -> None:
        """Open the journal, and begin it where there is none yet.

        Args:
            path: its file; what a kill left of a last line is removed.
            space: whose networks the trials are.
            directions: "maximize" or "minimize", for each number that a trial ends with.

        Raises:
            UsageError: a whole line is not of Optuna's format.
            BneckError: the file cannot be read or written.
        """
        self._path = path
        self._space = space
        self._distributions = {
            name: _compact({"type": "categorical", "choices": allowed})
            for name, allowed in space.choices.items()
        }
        self.content = read_journal(path)
        self.count = len(self.content.trials)
        """Trials in the file, refused and unfinished ones included."""
        if not self.content.begun:
            codes = [{"minimize": 1, "maximize": 2}[direction] for direction in directions]
            self._append([_line(Operation.CREATE_STUDY, study_name=STUDY, directions=codes)])

    def propose(
        self, values: Values, *, user_attrs: Mapping[str, Any], system_attrs: Mapping[str, Any]
    ) -> None:
        """Add a running trial with all of its choices, as one line: it is there or it is not.

        Args:
            values: the network's choices, by name.
            user_attrs: facts on the trial, as JSON values.
            system_attrs: notes of the sampler on the trial, as JSON values.
        """
        places = {name: self._space.choices[name].index(value) for name, value in values.items()}
        line = _line(
            Operation.CREATE_TRIAL,
            study_id=0,
            datetime_start=_now(),
            state=State.RUNNING,
            params=places,
            distributions={name: self._distributions[name] for name in values},
            user_attrs=dict(user_attrs),
            system_attrs=dict(system_attrs),
        )
        self._append([line], sync=False)
        self.count += 1

    def finish(
        self, number: int, state: State, values: Sequence[float] | None, attrs: Mapping[str, Any]
    ) -> None:
        """Add a trial's result and wait until it is on the disk; it counts with its last line.

        Args:
            number: of the trial.
            state: how it ended.
            values: one number for each of the study's directions; None where it failed.
            attrs: more facts on the trial, as JSON values.
        """
        lines = [
            _line(Operation.SET_TRIAL_USER_ATTR, trial_id=number, user_attr={name: value})
            for name, value in attrs.items()
        ]
        ended = {"trial_id": number, "state": state, "values": values}
        lines.append(_line(Operation.SET_TRIAL_STATE_VALUES, **ended, datetime_complete=_now()))
        self._append(lines)

    def _append(self, lines: Sequence[str], *, sync: bool = True) -> None:
        append_bytes(self._path, "".join(lines).encode(), sync=sync)


def _line(operation: Operation, **fields: Any) -> str:
    return _compact({"op_code": operation, "worker_id": WRITER, **fields}) + "\n"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
