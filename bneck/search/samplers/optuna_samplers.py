"""Samplers of Optuna, over a study in memory that is told what the history knows."""

import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from optuna.trial import Trial as OptunaTrial

from bneck.errors import BneckError, UsageError
from bneck.executors import reason
from bneck.search.objectives import Objective
from bneck.search.reward import Reward
from bneck.search.samplers.base import Sampler
from bneck.search.samplers.history import Trial, TrialHistory
from bneck.space.choices import Space, Values

STUDY_NOTES = "study"


class _Study(optuna.Study):
    """A study that no sampler ends: whether a network is left, the search finds for itself.

    Optuna's own ``stop`` is an error outside of its own loop.
    """

    def stop(self) -> None:
        """Do nothing."""


class _Storage(InMemoryStorage):
    """A study's trials, whose rewards change."""

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """Return the best by the rewards of today; Optuna's own method keeps the first it found."""
        super().get_best_trial(study_id)  # raises the errors
        complete = self.get_all_trials(study_id, deepcopy=False, states=(TrialState.COMPLETE,))
        return max(complete, key=lambda trial: trial.values)


class OptunaSampler(Sampler):
    """One of Optuna's samplers, made again for each proposal from its seed.

    What it learns from are the rewards of today: the exponent w, which is derived from the labels,
    and several targets, which take turns, give each network another one than it was recorded with.
    A refused proposal is a pruned trial of its study; the network that replaces it takes over what
    the sampler noted, such as NSGA-II's generation, which would otherwise never be filled where
    most proposals are above the ceiling.
    """

    def __init__(self, space: Space, make: Callable[[int], BaseSampler], *, front: bool) -> None:
        """Begin with an empty study.

        Args:
            space: whose networks are proposed.
            make: the sampler that Optuna has, by its seed.
            front: whether accuracy and latency are two objectives.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space, self._make, self._front = space, make, front
        self._reward: Reward | None = None
        self._begin()

    def _begin(self) -> None:
        """Begin with an empty study."""
        maximize, minimize = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
        directions = [maximize, minimize] if self._front else [maximize]
        self._storage = _Storage()
        self._id = self._storage.create_new_study(directions)
        self._study = _Study(self._storage.get_study_name_from_id(self._id), self._storage)
        self._asked: OptunaTrial | None = None  # asked for here, its trial not yet in the history
        self._numbers: dict[int, int] = {}  # of a trial in the study, by its number in the history
        self._ended = 0

    def propose(self, history: TrialHistory, objective: Objective, seed: int) -> Values:
        """Return the network that Optuna's sampler suggests, choice by choice."""
        if self._asked is not None and len(history.trials) == len(self._numbers):
            self._begin()  # nothing allowed was found in its place: a search that resumes has none
        if not self._front and objective.reward != self._reward:
            self._reward = objective.reward
            self._reward_again(history, objective)
        self._study.sampler = self._make(seed)
        self._follow(history, objective)
        before = dict(self._storage.get_study_system_attrs(self._id))
        self._asked = trial = self._study.ask()
        values: Values = {}
        for name, allowed in self._space.live_choices(values):
            # The space's own object: a sampler that draws by NumPy gives one of its types.
            values[name] = allowed[allowed.index(trial.suggest_categorical(name, allowed))]
        notes = dict(self._trials()[trial.number].system_attrs)
        after = self._storage.get_study_system_attrs(self._id)
        if changed := {name: after[name] for name in after if after[name] != before.get(name)}:
            notes[STUDY_NOTES] = changed
        self.notes = notes
        return values

    def _reward_again(self, history: TrialHistory, objective: Objective) -> None:
        """Give the networks that have ended their rewards of today, where they are kept.

        To tell Optuna all of them again takes a millisecond each, for every proposal.
        """
        trials = self._trials()
        for trial in history.ended[: self._ended]:
            values = self._outcome(trial, objective).get("values")
            trials[self._numbers[trial.number]].values = values

    def _follow(self, history: TrialHistory, objective: Objective) -> None:
        """Bring the study to where the history is."""
        for trial in history.trials[len(self._numbers) :]:
            self._numbers[trial.number] = self._added(trial)
        for trial in history.ended[self._ended :]:
            outcome = self._outcome(trial, objective)
            self._study.tell(self._numbers[trial.number], **outcome)
        self._ended = len(history.ended)

    def _added(self, trial: Trial) -> int:
        """Number in the study of a trial that was proposed, here or before an interruption."""
        asked, self._asked = self._asked, None
        if asked is not None and trial.refused is None:
            return asked.number
        if asked is not None:
            self._study.tell(asked, state=TrialState.PRUNED)
        elif trial.refused is not None:
            self._add(trial.refused, TrialState.PRUNED, trial)
        return self._add(trial.values, TrialState.RUNNING, trial)

    def _add(self, values: Values, state: TrialState, trial: Trial) -> int:
        notes = dict(trial.notes)
        for name, value in notes.pop(STUDY_NOTES, {}).items():
            self._storage.set_study_system_attr(self._id, name, value)
        distributions: dict[str, BaseDistribution] = {
            name: CategoricalDistribution(self._space.choices[name]) for name in values
        }
        added = create_trial(
            state=state, params=values, distributions=distributions, system_attrs=notes
        )
        self._study.add_trial(added)
        return len(self._trials()) - 1

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _outcome(self, trial: Trial, objective: Objective) -> dict[str, Any]:
        record = trial.record
        assert record is not None
        if record.accuracy is None:
            return {"state": TrialState.FAIL}
        if self._front:
            return {"values": [record.accuracy, record.latency_ms]}
        return {"values": [objective.reward(record.accuracy, record.latency_ms)]}


def tpe(space: Space, front: bool) -> OptunaSampler:
    """The tree-structured Parzen estimator, over all choices at once."""
    return OptunaSampler(space, lambda seed: TPESampler(seed=seed, multivariate=True), front=front)


def nsga2(space: Space, front: bool) -> OptunaSampler:
    """The genetic algorithm NSGA-II."""
    return OptunaSampler(space, lambda seed: NSGAIISampler(seed=seed), front=front)


class ForeignSampler(OptunaSampler):
    """A sampler that the user named, whose mistakes are one line, as those of all else are."""

    def __init__(
        self, space: Space, make: Callable[..., object], *, front: bool, word: str
    ) -> None:
        """Begin as ``OptunaSampler`` does; ``word`` is what the user named the sampler by."""
        super().__init__(space, self._made, front=front)
        self._word, self._named = word, make

    def propose(self, history: TrialHistory, objective: Objective, seed: int) -> Values:
        """Return the network that the sampler suggests; raises BneckError where it fails."""
        try:
            return super().propose(history, objective, seed)
        except BneckError:
            raise
        except Exception as error:
            raise BneckError(f"sampler {self._word!r} raises {reason(error)}") from error

    def _made(self, seed: int) -> BaseSampler:
        try:
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                sampler = self._named(seed=seed)
        except TypeError as error:
            raise UsageError(f"{self._word!r} cannot be called with a seed: {error}") from error
        if not isinstance(sampler, BaseSampler):
            kind = type(sampler).__name__
            raise UsageError(f"{self._word!r} returned a {kind}, not an Optuna sampler")
        return sampler
