"""The block-wise search: propose, evaluate, remember."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from bneck.errors import BneckError, ProxyFailed
from bneck.executors import NOT_YET, Executor, Failed, NotYet, reason
from bneck.progress import Progress, silent
from bneck.results.record import Record
from bneck.results.summary import standing
from bneck.search.allowed import SpaceExhausted
from bneck.search.label import Label, check_comparable
from bneck.search.objectives import Objective, Objectives
from bneck.search.reward import Soft
from bneck.search.samplers.history import Trial
from bneck.search.study import Study
from bneck.space.architecture import Architecture

MAX_FAILED_AT_FIRST = 5


@dataclass(frozen=True, slots=True)
class Timed:
    """An evaluation and the seconds that it took where it ran."""

    evaluate: Callable[[Architecture], float | Label]

    def load(self) -> None:
        """Load what the evaluation needs, which is not timed."""
        if hasattr(self.evaluate, "load"):
            self.evaluate.load()

    def __call__(self, arch: Architecture) -> tuple[Label | Failed, float]:
        """(accuracy or why there is none, seconds)."""
        begun = time.monotonic()
        outcome: Label | Failed
        try:
            found = self.evaluate(arch)
            outcome = found if isinstance(found, Label) else Label(found)
        except ProxyFailed as error:
            outcome = Failed(reason(error))
        return outcome, time.monotonic() - begun


def search(
    study: Study,
    evaluate: Callable[[Architecture], float | Label],
    *,
    objectives: Objectives,
    evaluations: int,
    executor: Executor,
    mix_devices: bool = False,
    progress: Progress = silent,
) -> list[Record]:
    """Go on until ``evaluations`` networks are evaluated, and return all records of the study.

    A network outside its target's latencies is never evaluated, and none is evaluated twice. A
    space that is finished ends the search early, and says so. What each proposal knows is decided
    by the study's virtual time, so the same seed gives the same trials on any executor; results
    are stored as they come in. Several targets take turns.

    Args:
        study: proposes and remembers.
        evaluate: proxy accuracy of a network, run by the executor.
        objectives: what is searched for.
        evaluations: networks to evaluate, those of earlier sessions included.
        executor: where evaluations run.
        mix_devices: whether labels of different kinds of device, or precisions, guide one search.
        progress: told of every result.

    Raises:
        UsageError: no network is under a ceiling (names the fastest), or above a floor; a label was
            made with another kind of device, or in another precision, than the others.
        BneckError: the first networks all fail (names the first reason).
    """
    objectives.check()
    under_way: dict[Architecture, Trial] = {}
    finished = study.records()
    total = evaluations

    def proposals() -> Iterator[Architecture | NotYet]:
        """Networks that wait from an earlier session, then new ones as soon as they are decided."""
        nonlocal total
        for trial in study.pending():
            under_way[trial.arch] = trial
            yield trial.arch
        while len(finished) + len(under_way) < evaluations:
            if not study.may_propose(len(under_way), executor.workers):
                yield NOT_YET
                continue
            try:
                trial = study.propose(objectives)
            except SpaceExhausted as end:
                total = len(finished) + len(under_way)
                progress("search", len(finished), total, str(end))
                return
            under_way[trial.arch] = trial
            yield trial.arch

    task = evaluate if executor.in_stages else Timed(evaluate)
    with threadpool_limits(1, user_api="blas"):  # more spin where the workers have the cores
        for arch, outcome in executor.map_unordered(task, proposals()):
            trial = under_way.pop(arch)
            record = _record(trial, outcome, study.objective(trial, objectives))
            if not mix_devices:
                check_comparable(record, finished)
            study.tell(trial, record)
            finished.append(record)
            progress("search", len(finished), total, _news(finished, study.current(objectives)))
            if len(finished) >= MAX_FAILED_AT_FIRST and all(record.error for record in finished):
                raise BneckError(f"the first {len(finished)} networks failed: {finished[0].error}")
    return sorted(finished, key=lambda record: record.number)


def _record(trial: Trial, outcome: Any, objective: Objective) -> Record:
    found, seconds = outcome if isinstance(outcome, tuple) else (outcome, 0.0)
    label = Label(found) if isinstance(found, float) else found
    latency_ms = objective.latency_ms(trial.arch)

    def record(label: Label | None, error: str | None) -> Record:
        accuracy, made_with = (label.accuracy, label.made_with) if label else (None, {})
        reward = None if accuracy is None else objective.reward(accuracy, latency_ms)
        return Record(
            trial.number, trial.arch, accuracy, latency_ms, reward, error, seconds, made_with
        )

    if isinstance(label, Failed):
        return record(None, label.reason)
    if not 0 <= label.accuracy <= 1:
        return record(None, f"the accuracy is {label.accuracy}, not a number from 0 to 1")
    return record(label, None)


def _news(records: list[Record], objectives: list[Objective]) -> str:
    soft = [objective.reward for objective in objectives if isinstance(objective.reward, Soft)]
    weights = [f"{reward.weight:.3g}" for reward in soft]
    return (f"w {', '.join(weights)}; " if weights else "") + standing(records)
