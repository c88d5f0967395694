"""How a search's trials are written in its journal: as named attributes, and back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

from bneck.errors import BneckError, UsageError
from bneck.files import naming
from bneck.latency.checks import check_not_negative
from bneck.records import from_json
from bneck.results.record import Record
from bneck.search.journal import JournalTrial, State, read_journal
from bneck.search.promotion import FINALISTS
from bneck.search.samplers.history import Trial
from bneck.space.checks import check_range
from bneck.space.choices import Space, Values

EVALUATED = "seconds"
"""A finished trial that has this attribute was evaluated; others were refused or cut off."""
LATENCY, REFUSED, TARGET, OLD_TARGET = "latency_ms", "refused", "target", "aim"
RUNG, VIRTUAL_START = "rung", "virtual_start"
_KINDS = get_type_hints(Record)


def read_records(journal: Path, space: Space) -> list[Record]:
    """Return the records of a study without writing to it; another driver may be at work.

    Raises:
        UsageError: a line is not of a journal, or says what no evaluation can have found.
    """
    trials = read_journal(journal).trials
    with naming(journal):
        found = [record_of(trial, space) for trial in trials]
    return [record for record in found if record is not None]


def rungs_evaluated(journal: Path) -> list[int]:
    """Return the rung of each evaluation in a journal, without building its network."""
    return [
        trial.user_attrs.get(RUNG, 0)
        for trial in read_journal(journal).trials
        if _is_evaluated(trial)
    ]


def proposal_of(
    trial: Trial, space: Space, *, latency_ms: float, virtual_start: float | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the user and the system attributes that a proposed trial is written with.

    Args:
        trial: what is proposed.
        space: whose network it is.
        latency_ms: predicted of it.
        virtual_start: when it starts in virtual time; None if with the first free worker.
    """
    user_attrs: dict[str, Any] = {LATENCY: latency_ms}
    if trial.target:
        user_attrs[TARGET] = trial.target
    if trial.rung:
        user_attrs[RUNG] = trial.rung
    if virtual_start is not None:
        user_attrs[VIRTUAL_START] = virtual_start
    system_attrs = dict(trial.notes)
    if trial.refused is not None:
        system_attrs[REFUSED] = _places_of(trial.refused, space)
    return user_attrs, system_attrs


def outcome_of(record: Record, *, front: bool) -> tuple[State, list[float] | None, dict[str, Any]]:
    """Return the state, the values and the user attributes that a trial's result is written with.

    Args:
        record: the result.
        front: accuracy and latency are two objectives, and no reward is kept.
    """
    attrs: dict[str, Any] = {EVALUATED: record.seconds}
    if record.made_with:
        attrs["made_with"] = dict(record.made_with)
    if record.error is None:
        attrs["accuracy"] = record.accuracy
    else:
        attrs["error"] = record.error
    values = None if record.reward is None else [record.reward]
    if front and record.accuracy is not None:
        values = [record.accuracy, record.latency_ms]
    return State.FAIL if values is None else State.COMPLETE, values, attrs


def trial_of(found: JournalTrial, space: Space, *, refused: Values | None, labels: int) -> Trial:
    """Return the trial that was written.

    Args:
        found: what the journal holds of it.
        space: whose network it is.
        refused: what an earlier version noted before it as refused; None where nothing was.
        labels: that were known when it was proposed.

    Raises:
        UsageError: it says what no search can have written.
    """
    notes, attrs = dict(found.system_attrs), found.user_attrs
    target, rung = attrs.get(TARGET, attrs.get(OLD_TARGET, 0)), attrs.get(RUNG, 0)
    with naming(f"trial {found.number}"):
        if REFUSED in notes:
            refused = _values(space, notes.pop(REFUSED))
        check_range(TARGET, target, 0)
        check_range(RUNG, rung, 0, len(FINALISTS))
        # Earlier versions wrote the latency with the result.
        check_not_negative(LATENCY, from_json(float, attrs.get(LATENCY, 0.0), LATENCY))
    return Trial(
        number=found.number,
        values=found.params,
        arch=space.decode(found.params),
        target=target,
        refused=refused,
        notes=notes,
        record=record_of(found, space),
        labels=labels,
        rung=rung,
    )


def virtual_start_of(found: JournalTrial) -> float | None:
    """Return when a trial starts in virtual time; None if with the first free worker."""
    if VIRTUAL_START not in found.user_attrs:
        return None
    with naming(f"trial {found.number}"):
        return from_json(float, found.user_attrs[VIRTUAL_START], VIRTUAL_START)


def record_of(trial: JournalTrial, space: Space) -> Record | None:
    """The record of a trial, None unless it was evaluated; of a front's, without a reward.

    Its state says which attributes count: a first evaluation may have been cut off while its result
    was written, and have ended otherwise than the second.

    Raises:
        UsageError: it says what no evaluation can have found.
    """
    attrs, failed = trial.user_attrs, trial.state is State.FAIL
    if not _is_evaluated(trial):
        return None
    facts = {
        "accuracy": None if failed else attrs.get("accuracy"),
        "latency_ms": attrs.get(LATENCY),
        "reward": trial.values[0] if trial.values and len(trial.values) == 1 else None,
        "error": attrs.get("error") if failed else None,
        "seconds": attrs[EVALUATED],
        "made_with": attrs.get("made_with", {}),
        "rung": attrs.get(RUNG, 0),
    }
    try:
        known = {name: from_json(_KINDS[name], fact, name) for name, fact in facts.items()}
        return Record(number=trial.number, arch=space.decode(trial.params), **known)
    except BneckError as error:  # somebody else's journal may say anything
        raise UsageError(f"trial {trial.number}: {error}") from None


def _is_evaluated(trial: JournalTrial) -> bool:
    return EVALUATED in trial.user_attrs and trial.state in (State.COMPLETE, State.FAIL)


def is_whole(params: Values, space: Space) -> bool:
    """Whether all choices were made before the driver ended."""
    values: Values = {}
    for name, _ in space.live_choices(values):
        if name not in params:
            return False
        values[name] = params[name]
    return True


def _places_of(values: Values, space: Space) -> list[int]:
    """For each choice the place of its value, -1 where it is not live."""
    return [
        allowed.index(values[name]) if name in values else -1
        for name, allowed in space.choices.items()
    ]


def _values(space: Space, places: Sequence[int]) -> Values:
    try:
        return {
            name: allowed[place]
            for (name, allowed), place in zip(space.choices.items(), places, strict=True)
            if place >= 0
        }
    except (TypeError, ValueError, IndexError):
        raise UsageError(
            f"{REFUSED} must be a place for each choice of {space.name}, got {places!r:.60}"
        ) from None
