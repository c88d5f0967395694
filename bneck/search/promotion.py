"""Successive halving at the end of a search: which networks are trained longer.

Short labels favour networks that learn fast, and cannot see what wide ones gain later. So when all
networks of a search are evaluated, the best four for each target are trained for three times the
steps, and the best two of those for nine times (Jamieson and Talwalkar 2016, arXiv 1502.07943).
The network that is named is one of those trained longest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bneck.results.record import Record
from bneck.search.samplers.history import Trial
from bneck.space.architecture import Architecture

if TYPE_CHECKING:  # scipy, which reading records does not need
    from bneck.search.objectives import Objective

LONGER = 3
"""Each rung has this many times the steps of the one below."""
FINALISTS = (4, 2)
"""Networks that are promoted from each rung, for each target."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network to evaluate, and the rung on which it is trained: 0 is the search's own."""

    arch: Architecture
    rung: int = 0


def steps_on(rung: int, steps: int, most_steps: int | None = None) -> int:
    """Return the training steps of a rung.

    Args:
        rung: the first is 0.
        steps: of the first rung.
        most_steps: no training is longer, whatever its rung; None for no limit.
    """
    longer = steps * int(LONGER**rung)
    return longer if most_steps is None else min(longer, most_steps)


def search_steps(
    networks: int, targets: int, steps: int, most_steps: int, *, widened: int = 0
) -> int:
    """Return the most steps that a search with promotion trains for.

    Args:
        networks: that the search evaluates.
        targets: that it serves.
        steps: of the first rung.
        most_steps: no training is longer, whatever its rung.
        widened: networks of faster targets that are made wider, and trained as long as any.
    """
    counts = most_promoted(networks, targets)
    counts[-1] += widened
    longer = sum(
        count * steps_on(rung, steps, most_steps) for rung, count in enumerate(counts, start=1)
    )
    return networks * steps + longer


def most_promoted(networks: int, targets: int) -> list[int]:
    """Return how many networks are trained longer at most, rung by rung."""
    return [min(networks, targets * count) for count in FINALISTS]


def promotable(
    started: Iterable[Trial], ended: Sequence[Trial], objectives: "Sequence[Objective]"
) -> Trial | None:
    """Return a network to train on the next rung; None while any of its own rung is under way.

    Args:
        started: all trials.
        ended: those whose outcome may be known.
        objectives: of each target, whose rewards decide what is best among what it allows.
    """
    begun = {(trial.arch, trial.rung) for trial in started}
    for rung, count in enumerate(FINALISTS):
        of_rung = [trial for trial in ended if trial.rung == rung]
        if len(of_rung) < sum(on == rung for _, on in begun):
            return None
        for objective in objectives:
            for trial in _best(of_rung, objective)[:count]:
                if (trial.arch, rung + 1) not in begun:
                    return trial
    return None


def _best(trials: Sequence[Trial], objective: "Objective") -> list[Trial]:
    """The trials whose networks a target allows, the best first."""
    rewarded = [
        (objective.reward_of(label), trial)
        for trial in trials
        if (label := trial.label) is not None and objective.allows(trial.arch)
    ]
    return [trial for _, trial in sorted(rewarded, key=lambda pair: (-pair[0], pair[1].number))]


def trained_longest(records: Iterable[Record]) -> list[Record]:
    """Return the record of each network's longest training that has an accuracy, in order.

    A network whose trainings all failed keeps its first record.
    """
    found: dict[Architecture, Record] = {}
    for record in records:
        known = found.get(record.arch)
        if known is None or (record.accuracy is not None and record.rung > known.rung):
            found[record.arch] = record
    return list(found.values())
