"""Successive halving: which networks of a search are trained longer.

Every network is trained on the first rung; the best third of those that ended there is trained to
three times the steps, and their best third again. A network is promoted as soon as it is in the
best third (ASHA: Li et al. 2020, arXiv 1810.05934, algorithm 2), so that no worker waits for a rung
to fill.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bneck.results.record import Record
from bneck.search.objectives import Objective
from bneck.search.samplers.history import Trial
from bneck.space.architecture import Architecture

REDUCTION = 3
"""One in so many is promoted, to so many times the steps."""
RUNGS = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network to evaluate, and the rung on which it is trained."""

    arch: Architecture
    rung: int = 0


def steps_on(rung: int, steps: int) -> int:
    """Return the training steps that a rung adds to those of the rungs below.

    Args:
        rung: 0 is the first.
        steps: of the first rung.
    """
    return _total(rung, steps) - (_total(rung - 1, steps) if rung else 0)


def search_steps(networks: int, steps: int) -> int:
    """Return the steps of a whole search of so many networks: 7/3 of those of the first rung."""
    return sum(networks * steps_on(rung, steps) // _total(rung, 1) for rung in range(RUNGS))


def _total(rung: int, steps: int) -> int:
    """Steps that a network has been trained for at the end of a rung."""
    return steps * int(REDUCTION**rung)


def promotable(
    started: Iterable[Trial], ended: Sequence[Trial], objectives: Sequence[Objective]
) -> Trial | None:
    """Return the best trial that is in the best third of its rung and was not promoted yet.

    Higher rungs come first. Networks proposed for different targets are not compared.

    Args:
        started: all trials.
        ended: those whose outcome may be known.
        objectives: of each target, whose rewards decide what is best.
    """
    begun = {(trial.arch, trial.rung) for trial in started}
    for rung in reversed(range(RUNGS - 1)):
        for target, objective in enumerate(objectives):
            rivals = [one for one in ended if (one.rung, one.target) == (rung, target)]
            rewarded = [(objective.reward_of(one.label), one) for one in rivals if one.label]
            rewarded.sort(key=lambda pair: (-pair[0], pair[1].number))
            for _, trial in rewarded[: len(rivals) // REDUCTION]:
                if (trial.arch, rung + 1) not in begun:
                    return trial
    return None


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
