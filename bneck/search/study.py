"""The memory of a search: an Optuna study on a journal file, told by the driver alone.

Trials end complete (with their reward), failed (an evaluation that could not be done) or pruned
(refused before any work: too slow, or a network that was seen before).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from bneck import records
from bneck.errors import BneckError
from bneck.results.record import Record
from bneck.search import samplers
from bneck.search.journal import Journal, JournalTrial, finished_trials
from bneck.search.objectives import Objective
from bneck.search.samplers.history import LabelledNetwork, history_of
from bneck.space.architecture import Architecture
from bneck.space.choices import Space, Value, Values
from bneck.space.codec import key

STUDY = "bneck"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network that was proposed and waits for its evaluation."""

    number: int
    values: Values
    arch: Architecture
    aim: int = 0
    """Which of the search's objectives it is for."""


class Study:
    """Proposes networks of a space and remembers what became of them.

    The sampler is seeded anew for each trial from (seed, number), so a study that was interrupted
    proposes what an uninterrupted one would have.
    """

    def __init__(
        self, journal: Path, space: Space, *, sampler: str, seed: int, front: bool = False
    ) -> None:
        """``front``: accuracy and latency are two objectives, and no reward is told."""
        self.space = space
        self._front = front
        self._make_sampler, self._seed = samplers.find(sampler), seed
        self._journal = Journal(journal)
        records.drop_torn_line(journal)
        journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self._study = optuna.create_study(
                storage=JournalStorage(self._journal),
                study_name=STUDY,
                directions=["maximize", "minimize"] if front else ["maximize"],
                load_if_exists=True,
            )
        except (ValueError, KeyError) as error:
            raise BneckError(f"{journal} is damaged: {error}") from error
        self._seen = {
            key(self.space.decode(trial.params)): trial.number
            for trial in self._trials(TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING)
            if self._whole(trial)
        }

    def ask(self, objective: Objective, aim: int = 0) -> Candidate:
        """Propose a network; it may have been ``seen`` before or be above the ceiling."""
        seed = self._seed_of(len(self._trials()))
        self._study.sampler = self._make_sampler(self.space, objective, seed)
        trial = self._study.ask()
        values: Values = {}
        for name, allowed in self.space.choices.items():
            if self.space.live(name, values):
                values[name] = _chosen(trial, name, allowed)
        return Candidate(trial.number, values, self.space.decode(values), aim)

    def seen(self, arch: Architecture) -> int | None:
        """The number of the trial that had this network already."""
        return self._seen.get(key(arch))

    def accept(self, candidate: Candidate) -> None:
        """Remember that the candidate is to be evaluated."""
        self._seen[key(candidate.arch)] = candidate.number
        if candidate.aim:
            self._set(candidate.number, {"aim": candidate.aim})
        self._journal.flush()

    def refuse(self, candidate: Candidate, reason: str) -> None:
        """The candidate is not worth an evaluation."""
        self._set(candidate.number, {"refused": reason})
        self._study.tell(candidate.number, state=TrialState.PRUNED)

    def replace(self, candidate: Candidate, values: Values) -> None:
        """Let the next ``ask`` propose this network in place of a refused candidate.

        It takes over what the sampler noted on the candidate, such as NSGA-II's generation, which
        would otherwise never be filled where most proposals are above the ceiling.
        """
        noted = self._study.get_trials(deepcopy=False)[candidate.number].system_attrs
        attributes = {**noted, "fixed_params": dict(values)}
        self._study.add_trial(create_trial(state=TrialState.WAITING, system_attrs=attributes))

    def tell(self, record: Record) -> None:
        """What came of an accepted candidate; the record's number names it."""
        attributes = {
            "accuracy": record.accuracy,
            "latency_ms": record.latency_ms,
            "error": record.error,
            "seconds": record.seconds,
            "made_with": dict(record.made_with),
        }
        self._set(record.number, attributes)
        if record.reward is None:
            self._study.tell(record.number, state=TrialState.FAIL)
        elif self._front:
            self._study.tell(record.number, [record.accuracy or 0.0, record.latency_ms])
        else:
            self._study.tell(record.number, record.reward)

    def pending(self) -> list[Candidate]:
        """Networks that were being evaluated when the last driver ended; the rest is dropped."""
        candidates = []
        for trial in self._trials(TrialState.RUNNING):
            if self._whole(trial):
                arch = self.space.decode(trial.params)
                aim = trial.user_attrs.get("aim", 0)
                candidates.append(Candidate(trial.number, trial.params, arch, aim))
            else:
                self._study.tell(trial.number, state=TrialState.FAIL)
        return candidates

    def labels(self, before: int | None = None) -> list[LabelledNetwork]:
        """The networks with an accuracy, of the trials before a number or of all, in order."""
        return history_of(self._study, self.space, before).labels

    def records(self) -> list[Record]:
        """Every network that was evaluated, failures included, in order."""
        return _records(self._trials(TrialState.COMPLETE, TrialState.FAIL), self.space)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _whole(self, trial: FrozenTrial) -> bool:
        """Whether all its choices were made before the driver ended."""
        values: dict[str, Value] = {}
        for name in self.space.choices:
            if self.space.live(name, values):
                if name not in trial.params:
                    return False
                values[name] = trial.params[name]
        return True

    def _seed_of(self, number: int) -> int:
        return (self._seed * 1_000_003 + number) % 2**32

    def _set(self, number: int, attributes: Mapping[str, Any]) -> None:
        trial = Trial(self._study, self._study.get_trials(deepcopy=False)[number]._trial_id)
        for name, value in attributes.items():
            trial.set_user_attr(name, value)


def read_records(journal: Path, space: Space) -> list[Record]:
    """The records of a study, read without writing to it; another driver may be at work."""
    return _records(finished_trials(journal), space)


def _records(trials: Sequence[FrozenTrial | JournalTrial], space: Space) -> list[Record]:
    return [
        Record(
            number=trial.number,
            arch=space.decode(trial.params),
            accuracy=trial.user_attrs["accuracy"],
            latency_ms=trial.user_attrs["latency_ms"],
            reward=trial.values[0] if trial.values else None,
            error=trial.user_attrs["error"],
            seconds=trial.user_attrs["seconds"],
            made_with=trial.user_attrs["made_with"],
        )
        for trial in trials
        if "made_with" in trial.user_attrs
    ]


def _chosen(trial: Trial, name: str, allowed: tuple[Value, ...]) -> Value:
    value = trial.suggest_categorical(name, allowed)
    assert value is not None
    assert not isinstance(value, float)
    return value
