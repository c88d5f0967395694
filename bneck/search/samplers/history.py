"""The trials of a search, as samplers and the derived weight need them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from bneck.results.record import Record
from bneck.space.architecture import Architecture
from bneck.space.choices import Space, Value, Values


@dataclass(frozen=True, slots=True)
class LabelledNetwork:
    """A network that was evaluated."""

    values: Values
    arch: Architecture
    accuracy: float
    latency_ms: float


@dataclass(slots=True)
class Trial:
    """A network that was proposed and, once it is evaluated, its record.

    Attributes:
        number: in the journal.
        target: which of the search's targets it was proposed for.
        refused: what the sampler had proposed first, where that was not allowed.
        notes: what one of Optuna's samplers noted on the trial and on the study.
        labels: how many networks were labelled for its proposal.
        rung: 0, or how often the network was promoted to a longer training.
    """

    number: int
    values: Values
    arch: Architecture
    target: int = 0
    refused: Values | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    record: Record | None = None
    labels: int = 0
    rung: int = 0

    @property
    def label(self) -> LabelledNetwork | None:
        """None where the evaluation failed, or has not ended."""
        record = self.record
        if record is None or record.accuracy is None:
            return None
        return LabelledNetwork(self.values, self.arch, record.accuracy, record.latency_ms)


class TrialHistory:
    """The search so far, as far as the next proposal may know it: networks, not longer trainings.

    Attributes:
        trials: all that were proposed, in order.
        ended: those of known outcome, in the order in which they ended; never reordered.
        labels: networks with an accuracy among those that ended, in that order.
        proposals: how many proposals were made, refused ones included.
    """

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self.ended: list[Trial] = []
        self.labels: list[LabelledNetwork] = []
        self.proposals = 0
        self._seen: set[Architecture] = set()
        self._under_way: dict[int, Trial] = {}

    @property
    def pending(self) -> list[Architecture]:
        """Networks that were proposed and whose outcome is not known yet."""
        return [trial.arch for trial in self._under_way.values()]

    def new(self, arch: Architecture) -> bool:
        """Whether the network was never proposed."""
        return arch not in self._seen

    def propose(self, trial: Trial) -> None:
        """Take in a trial that was proposed."""
        self.trials.append(trial)
        self.proposals += 1 if trial.refused is None else 2
        self._seen.add(trial.arch)
        self._under_way[trial.number] = trial

    def end(self, trial: Trial) -> None:
        """Let the outcome of a trial be known; it has a record."""
        del self._under_way[trial.number]
        self.ended.append(trial)
        if (label := trial.label) is not None:
            self.labels.append(label)


def decoded(space: Space, values: Values) -> Architecture:
    """Return the network of values that the space made itself, remembered."""
    return _decoded(space.build, tuple(values.items()))


@lru_cache(maxsize=8192)
def _decoded(
    build: Callable[[Values], Architecture], items: tuple[tuple[str, Value], ...]
) -> Architecture:
    return build(dict(items))
