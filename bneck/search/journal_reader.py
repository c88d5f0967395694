"""The finished trials of a journal, for reports: read as data, without replaying it into a study.

Optuna's own replay copies each trial at every choice: most of ten seconds for 2,000 networks of 60
choices. A journal of ours has one study and one writer, so its trials are numbered as created.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from optuna.storages.journal._storage import JournalOperation
from optuna.trial import TrialState

from bneck.errors import UsageError


@dataclass
class Told:
    """One trial as far as the journal tells it."""

    number: int
    state: TrialState = TrialState.RUNNING
    values: list[float] | None = None
    params: dict[str, Any] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)


def finished_trials(journal: Path) -> list[Told]:
    """The trials that are complete or failed, in order; the journal may be written meanwhile.

    Raises:
        UsageError: a whole line that is not of Optuna's format; names the line.
    """
    trials: list[Told] = []
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


def _apply(log: dict[str, Any], trials: list[Told]) -> None:
    operation = log["op_code"]
    if operation == JournalOperation.CREATE_TRIAL:
        state = TrialState(log.get("state", TrialState.RUNNING))
        trials.append(Told(len(trials), state, user_attrs=dict(log.get("user_attrs", {}))))
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
