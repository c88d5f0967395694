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
from bneck.text import number_of

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
    work = _Search(study, objectives, evaluations, progress)
    candidates = work.candidates(executor)
    with threadpool_limits(1, user_api="blas"):  # more spin where the workers have the cores
        for candidate, outcome in executor.map_unordered(Timed(evaluate), candidates):
            work.take(candidate, outcome, mix_devices=mix_devices)
    work.end()
    return sorted(work.finished, key=lambda record: record.number)


class _Search:
    """A search under way: what is evaluated next, and what was found."""

    def __init__(
        self, study: Study, objectives: Objectives, networks: int, progress: Progress
    ) -> None:
        self._study, self._objectives, self._progress = study, objectives, progress
        self._networks = networks  # to evaluate, until the space has no more
        self._under_way: dict[Candidate, Trial] = {}
        self.finished = study.records()

    def candidates(self, executor: Executor) -> Iterator[Candidate | NotYet]:
        """What waits from an earlier session, what is new, and in the end what is promoted."""
        study = self._study
        for trial in study.pending():
            yield self._started(trial)
        while True:
            if not study.may_propose(len(self._under_way), executor.workers):
                yield NotYet(self._networks - study.networks) if study.order.is_eager else NOT_YET
            elif study.networks < self._networks:
                try:
                    yield self._started(study.propose(self._objectives))
                except SpaceExhausted as end:
                    self._networks = study.networks
                    self._progress("search", self._evaluated, self._networks, str(end))
            elif study.promotes and (promoted := study.promote(self._objectives)):
                yield self._started(promoted)
            elif not study.promotes or (study.order.idle and not self._under_way):
                return
            elif study.order.is_eager:
                yield NOT_YET
            else:
                study.order.wait()

    def take(self, candidate: Candidate, outcome: Any, *, mix_devices: bool) -> None:
        """Keep the result of a candidate, and report it; raises as ``search`` does."""
        trial, finished = self._under_way.pop(candidate), self.finished
        objective = self._study.objective(trial, self._objectives)
        record = _record(trial.number, candidate, outcome, objective)
        rivals = [one for one in finished if one.rung == record.rung]
        check_comparable(record, rivals, mix_devices=mix_devices)
        finished.append(self._study.tell(trial, record))
        if record.rung:
            self._tell_longer()
        else:
            self._progress("search", self._evaluated, self._networks, self._news())
        if len(finished) >= MAX_FAILED_AT_FIRST and all(one.error for one in finished):
            raise BneckError(f"the first {len(finished)} networks failed: {finished[0].error}")

    def end(self) -> None:
        """Tell that no more is trained longer, where any was."""
        if len(self.finished) > self._evaluated:
            self._tell_longer(ended=True)

    def _started(self, trial: Trial) -> Candidate:
        candidate = Candidate(trial.arch, trial.rung)
        self._under_way[candidate] = trial
        if trial.rung:
            self._tell_longer()
        return candidate

    @property
    def _evaluated(self) -> int:
        """How many networks are evaluated, longer trainings aside."""
        return sum(record.rung == 0 for record in self.finished)

    def _tell_longer(self, *, ended: bool = False) -> None:
        """How many are trained longer, of as many as there may be: targets may share some."""
        done = len(self.finished) - self._evaluated
        most = sum(most_promoted(self._networks, len(self._objectives.targets)))
        self._progress("longer trainings", done, done if ended else most, self._news())

    def _news(self) -> str:
        objectives = self._study.current(self._objectives)
        failed = sum(record.error is not None for record in self.finished if record.rung > 0)
        soft = [objective.reward for objective in objectives if isinstance(objective.reward, Soft)]
        weights = [f"{reward.weight:.3g}" for reward in soft]
        said = [f"{number_of(failed, 'longer training')} failed"] if failed else []
        said += [f"w {', '.join(weights)}"] if weights else []
        return "; ".join([*said, standing(trained_longest(self.finished))])


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
    arch, rung = candidate.arch, candidate.rung
    latency_ms = objective.latency_ms(arch)
    if isinstance(found, Failed):
        return Record(number, arch, None, latency_ms, None, found.reason, seconds, {}, rung)
    accuracy, made_with = found.accuracy, found.made_with
    if not 0 <= accuracy <= 1:
        error = f"the accuracy is {accuracy}, not a number from 0 to 1"
        return Record(number, arch, None, latency_ms, None, error, seconds, {}, rung)
    reward = objective.reward(accuracy, latency_ms)
    return Record(number, arch, accuracy, latency_ms, reward, None, seconds, made_with, rung)
