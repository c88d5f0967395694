"""The block-wise search: propose, refuse what is too slow, evaluate, remember."""

import time
from collections.abc import Callable, Sequence

from bneck.errors import BneckError
from bneck.executors import Executor, Failed
from bneck.progress import Progress, silent
from bneck.results.record import Record
from bneck.results.summary import standing
from bneck.search.objectives import Objective, Objectives
from bneck.search.reward import Soft
from bneck.search.study import Candidate, Study
from bneck.space.architecture import Architecture
from bneck.space.choices import Values

MAX_CHANGES, MAX_LISTED = 1000, 100_000
MAX_FAILED_AT_FIRST = 5


def search(
    study: Study,
    evaluate: Callable[[Architecture], float],
    *,
    objectives: Objectives,
    evaluations: int,
    batch: int,
    executor: Executor,
    progress: Progress = silent,
) -> list[Record]:
    """Go on until ``evaluations`` networks are evaluated, and return all records of the study.

    Networks above an aim's ceiling are refused before any training is paid, as are those under its
    floor; none is evaluated twice. A space that is finished ends the search early, and says so.
    Networks are asked for ``batch`` at once, so the same seed and batch give the same trials
    wherever they run; each is told as it finishes. Several objectives take turns.

    Raises:
        UsageError: no network is under a ceiling (names the fastest), or above a floor.
        BneckError: the first networks all fail (names the first reason).
    """
    objectives.check()
    waiting = study.pending()
    for candidate in waiting:
        study.accept(candidate)
    finished = study.records()
    while len(finished) < evaluations:
        # A batch that was cut by an interruption is filled up, not joined to the next.
        numbers = sorted([r.number for r in finished] + [c.number for c in waiting])
        accepted = len(numbers)
        begun = (accepted - bool(waiting)) // batch * batch
        current = objectives.at(study.labels(numbers[begun] if waiting else None))
        try:
            for turn in range(accepted, min(begun + batch, evaluations)):
                waiting.append(_next(study, current, turn))
        except SpaceExhausted as end:
            progress("search", len(finished), len(finished) + len(waiting), str(end))
            evaluations = len(finished) + len(waiting)
        asked = {candidate.arch: candidate for candidate in waiting}
        waiting = []
        clock = time.monotonic()
        for arch, outcome in executor.map_unordered(evaluate, list(asked)):
            candidate = asked[arch]
            seconds = time.monotonic() - clock
            record = _record(candidate, outcome, current[candidate.aim], seconds)
            study.tell(record)
            finished.append(record)
            progress("search", len(finished), evaluations, _news(finished, current))
        if len(finished) >= MAX_FAILED_AT_FIRST and all(record.error for record in finished):
            raise BneckError(f"the first {len(finished)} networks failed: {finished[0].error}")
    return sorted(finished, key=lambda record: record.number)


class SpaceExhausted(BneckError):
    """Every network that may be evaluated has been."""


def _next(study: Study, objectives: Sequence[Objective], turn: int) -> Candidate:
    """A network for the aim whose turn it is, or for the next that has any left."""
    for further in range(len(objectives)):
        aim = (turn + further) % len(objectives)
        try:
            return _proposed(study, objectives[aim], aim)
        except SpaceExhausted as end:
            last = end
    raise last


def _proposed(study: Study, objective: Objective, aim: int) -> Candidate:
    """The sampler's proposal, or where that is refused the network that mends it."""
    while True:
        candidate = study.ask(objective, aim)
        twin = study.seen(candidate.arch)
        if twin is None and objective.allows(candidate.arch):
            study.accept(candidate)
            return candidate
        if twin is None:
            allowed = f"{objective.floor_ms:.4g} to {objective.ceiling_ms:.4g} ms are allowed"
            latency_ms, bound_ms = (
                objective.latency_ms(candidate.arch),
                objective.bound_ms(candidate.arch),
            )
            below = f", at most {bound_ms:.4g}" if bound_ms > latency_ms else ""
            reason = f"outside the band: {latency_ms:.4g} ms predicted{below}, {allowed}"
        else:
            reason = f"seen before: trial {twin}"
        study.refuse(candidate, reason)
        study.replace(candidate, _mended(study, candidate, objective))


def _mended(study: Study, candidate: Candidate, objective: Objective) -> Values:
    """Change choices one by one, at random, until the network is new and its latency allowed.

    Only changes that lead no further outside are kept. Where that leads nowhere, a space that can
    be gone through is gone through.
    """
    space, values = study.space, candidate.values
    outside_ms = objective.outside_ms(candidate.arch)
    for attempt in range(MAX_CHANGES):
        changed = space.mutate(values, candidate.number * MAX_CHANGES + attempt)
        arch = space.decode(changed)
        if (changed_ms := objective.outside_ms(arch)) <= outside_ms:
            values, outside_ms = changed, changed_ms
            if outside_ms == 0 and study.seen(arch) is None:
                return values
    for values in space.all() if space.size <= MAX_LISTED else ():
        arch = space.decode(values)
        if study.seen(arch) is None and objective.allows(arch):
            return values
    raise SpaceExhausted(
        f"no network of space {space.name} under {objective.ceiling_ms:.3g} ms is left that was "
        "not evaluated"
    )


def _record(
    candidate: Candidate, outcome: float | Failed, objective: Objective, seconds: float
) -> Record:
    if not isinstance(outcome, Failed) and not 0 <= outcome <= 1:
        outcome = Failed(f"the accuracy is {outcome}, not a number from 0 to 1")
    latency_ms = objective.latency_ms(candidate.arch)
    return Record(
        number=candidate.number,
        arch=candidate.arch,
        accuracy=None if isinstance(outcome, Failed) else outcome,
        latency_ms=latency_ms,
        reward=None if isinstance(outcome, Failed) else objective.reward(outcome, latency_ms),
        error=outcome.reason if isinstance(outcome, Failed) else None,
        seconds=seconds,
    )


def _news(records: list[Record], objectives: Sequence[Objective]) -> str:
    weights = [
        f"{objective.reward.weight:.3g}"
        for objective in objectives
        if isinstance(objective.reward, Soft)
    ]
    return (f"w {', '.join(weights)}; " if weights else "") + standing(records)
