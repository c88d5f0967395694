"""What a study has come to, as samplers and the derived weight need it."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from functools import lru_cache
from weakref import WeakKeyDictionary

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from bneck.space.architecture import Architecture
from bneck.space.choices import Space, Value, Values


@dataclass(frozen=True, slots=True)
class LabelledNetwork:
    """A network that was evaluated."""

    values: Values
    arch: Architecture
    accuracy: float
    latency_ms: float


@dataclass(frozen=True)
class TrialHistory:
    """The study so far: labels in order, networks in evaluation, and all that were asked for."""

    labels: list[LabelledNetwork]
    pending: list[Architecture]
    asked: Set[Architecture]

    def new(self, arch: Architecture) -> bool:
        """Whether the network was never asked for."""
        return arch not in self.asked and arch not in self.pending


@dataclass
class _Read:
    """What the first ``trials`` of a study came to: all are finished, and so never change."""

    trials: int = 0
    labels: list[LabelledNetwork] = field(default_factory=list)
    asked: set[Architecture] = field(default_factory=set)


_READ: WeakKeyDictionary[Study, _Read] = WeakKeyDictionary()


def history_of(study: Study, space: Space, number: int | None = None) -> TrialHistory:
    """What the trials before ``number`` came to, or all of them; only what is new is read."""
    known = _READ.setdefault(study, _Read())
    trials = study.get_trials(deepcopy=False)[:number]
    while known.trials < len(trials) and trials[known.trials].state.is_finished():
        _add(space, trials[known.trials], known.labels, known.asked)
        known.trials += 1
    labels, pending, later = list(known.labels), list[Architecture](), set[Architecture]()
    for trial in trials[known.trials :]:
        if trial.state.is_finished():
            _add(space, trial, labels, later)
        elif trial.params:
            pending.append(decoded(space.build, trial.params))
    return TrialHistory(labels, pending, known.asked | later if later else known.asked)


def _add(
    space: Space,
    trial: FrozenTrial,
    labels: list[LabelledNetwork],
    asked: set[Architecture],
) -> None:
    """Take in one finished trial, unless it was refused or cut off before its evaluation."""
    if "accuracy" not in trial.user_attrs:
        return
    arch = decoded(space.build, trial.params)
    asked.add(arch)
    if trial.state is TrialState.COMPLETE:
        accuracy, latency_ms = trial.user_attrs["accuracy"], trial.user_attrs["latency_ms"]
        labels.append(LabelledNetwork(trial.params, arch, accuracy, latency_ms))


def decoded(build: Callable[[Values], Architecture], values: Mapping[str, Value]) -> Architecture:
    """``build(values)`` for values that a space made itself, remembered."""
    return _decoded(build, tuple(values.items()))


@lru_cache(maxsize=32768)
def _decoded(
    build: Callable[[Values], Architecture], items: tuple[tuple[str, Value], ...]
) -> Architecture:
    return build(dict(items))
