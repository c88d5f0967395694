"""The block-wise search: propose, evaluate, remember."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from bneck.errors import BneckError, ProxyFailed
from bneck.executors import NOT_YET, Executor, Failed, NotYet, reason
from bneck.files import naming
from bneck.progress import Progress, silent
from bneck.results.record import Record
from bneck.results.summary import standing
from bneck.search.allowed import SpaceExhausted
from bneck.search.label import Label, check_comparable
from bneck.search.objectives import Objective, Objectives
from bneck.search.promotion import Candidate, most_promoted, trained_longest
from bneck.search.reward import Soft
from bneck.search.samplers.history import Trial
from bneck.search.study import Study
from bneck.search.trial_attributes import TARGET
from bneck.space.checks import check_range

MAX_FAILED_AT_FIRST = 5


@dataclass(frozen=True, slots=True)
class Timed:
    """An evaluation and the seconds that it took where it ran."""

    evaluate: Callable[..., float | Label]

    def load(self) -> None:
        """Load what the evaluation needs, which is not timed."""
        if hasattr(self.evaluate, "load"):
            self.evaluate.load()

    def __call__(self, candidate: Candidate) -> tuple[Label | Failed, float]:
        """(accuracy or why there is none, seconds)."""
        begun = time.monotonic()
        outcome: Label | Failed
        try:
            longer = {"rung": candidate.rung} if candidate.rung else {}
            found = self.evaluate(candidate.arch, **longer)
            outcome = found if isinstance(found, Label) else Label(found)
        except ProxyFailed as error:
            outcome = Failed(reason(error))
        return outcome, time.monotonic() - begun


def search(
    study: Study,
    evaluate: Callable[..., float | Label],
    *,
    objectives: Objectives,
    evaluations: int,
    executor: Executor,
    mix_devices: bool = False,
    progress: Progress = silent,
) -> list[Record]:
    """Search until ``evaluations`` networks are evaluated; return all records of the study.

    A network outside its target's latencies is never evaluated, and none is evaluated twice. A
    space that is finished ends the search early, and says so. What each proposal knows is decided
    by the study's virtual time, so the same seed gives the same trials on any executor; results
    are stored as they come in. Several targets take turns. A study that promotes has the best
    networks trained longer, by ``evaluate(network, rung=1)`` and so on.

    Args:
        study: proposes and remembers.
        evaluate: proxy accuracy of a network, run by the executor.
        objectives: what is searched for.
        evaluations: networks to evaluate, those of earlier sessions included.
        executor: where evaluations run.
        mix_devices: whether labels of different kinds of device, or precisions, guide one search.
        progress: told of every result.

    Raises:
        UsageError: no network is under a ceiling (names the fastest), or above a floor; a trial
            waits that is for no target; a label was made with another kind of device, or in another
            precision, than the others.
        BneckError: the first networks all fail (names the first reason).
    """
    objectives.check()
    _check_waiting(study, len(objectives.targets))
    under_way: dict[Candidate, Trial] = {}
    finished, networks = study.records(), evaluations

    def candidates() -> Iterator[Candidate | NotYet]:
        """What waits from an earlier session, what is new, and in the end what is promoted."""
        nonlocal networks
        for trial in study.pending():
            yield started(trial)
        while True:
            if not study.may_propose(len(under_way), executor.workers):
                yield NOT_YET
            elif study.networks < networks:
                try:
                    yield started(study.propose(objectives))
                except SpaceExhausted as end:
                    networks = study.networks
                    progress("search", evaluated(), networks, str(end))
            elif study.promotes and (promoted := study.promote(objectives)):
                yield started(promoted)
            elif not study.promotes or (study.idle and not under_way):
                return
            elif study.is_eager:
                yield NOT_YET
            else:
                study.wait()

    def started(trial: Trial) -> Candidate:
        candidate = Candidate(trial.arch, trial.rung)
        under_way[candidate] = trial
        if trial.rung:
            tell_longer()
        return candidate

    def evaluated() -> int:
        return sum(record.rung == 0 for record in finished)

    def news() -> str:
        return _news(finished, study.current(objectives))

    def tell_longer(*, ended: bool = False) -> None:
        """How many are trained longer, of as many as there may be: targets may share some."""
        done = len(finished) - evaluated()
        most = sum(most_promoted(networks, len(objectives.targets)))
        progress("longer trainings", done, done if ended else most, news())

    with threadpool_limits(1, user_api="blas"):  # more spin where the workers have the cores
        for candidate, outcome in executor.map_unordered(Timed(evaluate), candidates()):
            trial = under_way.pop(candidate)
            record = _record(trial.number, candidate, outcome, study.objective(trial, objectives))
            rivals = [one for one in finished if one.rung == record.rung]
            check_comparable(record, rivals, mix_devices=mix_devices)
            finished.append(study.tell(trial, record))
            if record.rung:
                tell_longer()
            else:
                progress("search", evaluated(), networks, news())
            if len(finished) >= MAX_FAILED_AT_FIRST and all(record.error for record in finished):
                raise BneckError(f"the first {len(finished)} networks failed: {finished[0].error}")
    if len(finished) > evaluated():
        tell_longer(ended=True)
    return sorted(finished, key=lambda record: record.number)


def _check_waiting(study: Study, targets: int) -> None:
    """Raise UsageError where a trial waits for its evaluation that is for none of the targets."""
    for trial in study.pending():
        with naming(f"{study.file}: trial {trial.number}"):
            check_range(TARGET, trial.target, 0, targets - 1)


def evaluate_outside(
    candidates: Mapping[Candidate, Objective],
    evaluate: Callable[..., float | Label],
    executor: Executor,
) -> Iterator[Record]:
    """Evaluate networks that no study proposed, as ``search`` evaluates those that one does.

    Args:
        candidates: networks, the rung on which each is trained, and what gives its latency and its
            reward.
        evaluate: as in ``search``.
        executor: where evaluations run.

    Yields:
        A record of each as it is done, all of number 0.
    """
    for candidate, outcome in executor.map_unordered(Timed(evaluate), list(candidates)):
        yield _record(0, candidate, outcome, candidates[candidate])


def _record(number: int, candidate: Candidate, outcome: Any, objective: Objective) -> Record:
    found, seconds = outcome if isinstance(outcome, tuple) else (outcome, 0.0)
    arch = candidate.arch
    latency_ms = objective.latency_ms(arch)

    def record(label: Label | None, error: str | None) -> Record:
        accuracy, made_with = (label.accuracy, label.made_with) if label else (None, {})
        reward = None if accuracy is None else objective.reward(accuracy, latency_ms)
        return Record(
            number, arch, accuracy, latency_ms, reward, error, seconds, made_with, candidate.rung
        )

    if isinstance(found, Failed):
        return record(None, found.reason)
    if not 0 <= found.accuracy <= 1:
        return record(None, f"the accuracy is {found.accuracy}, not a number from 0 to 1")
    return record(found, None)


def _news(records: list[Record], objectives: list[Objective]) -> str:
    failed = sum(record.error is not None for record in records if record.rung > 0)
    soft = [objective.reward for objective in objectives if isinstance(objective.reward, Soft)]
    weights = [f"{reward.weight:.3g}" for reward in soft]
    said = [f"{failed} longer trainings failed"] if failed else []
    said += [f"w {', '.join(weights)}"] if weights else []
    return "; ".join([*said, standing(trained_longest(records))])
