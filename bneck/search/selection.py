"""Which network a search names: the best by its reward once that is measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace

from bneck.errors import BneckError
from bneck.latency.measure import Measured
from bneck.results.record import Record
from bneck.search.objectives import Aims
from bneck.search.samplers import Goal
from bneck.search.samplers.history import Label
from bneck.space.architecture import Architecture

MOST = 10
"""Networks that are measured at most; of so many near equals the best measured is good enough."""


@dataclass(frozen=True, slots=True)
class Winner:
    """A target's network: cheap accuracy, predicted and measured latency, reward as measured.

    ``weight`` is w where it was derived, and ``front_accuracy`` the foretold front's at the target.
    """

    number: int
    arch: Architecture
    target_ms: float
    accuracy: float
    predicted_ms: float
    predicted_std_ms: float
    measured_ms: float
    measured_std_ms: float
    reward: float
    weight: float | None = None
    front_accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class Winners:
    """What a search named: one network a target."""

    networks: tuple[Winner, ...]


def winner(
    records: Sequence[Record],
    aims: Aims,
    place: int,
    labels: Sequence[Label],
    measure: Callable[[Architecture], Measured],
) -> Winner:
    """The network of largest reward for one of the aims, its latency measured.

    The best by prediction is measured, then what seems best with that known, until the best one is
    a measured one; what measures above the ceiling is out. Networks that were evaluated for another
    aim count too.

    Raises:
        BneckError: no network has an accuracy, or all measure above the ceiling.
    """
    goal, tangent = aims.goals(labels)[place], aims.tangents(labels)[place]
    measured = {}
    waiting = [
        (-goal.reward(record.accuracy, record.latency_ms), record.number, record)
        for record in records
        if record.accuracy is not None and goal.allows(record.arch)
    ]
    if not waiting:
        raise BneckError("the search has no network with a reward")
    heapify(waiting)
    while waiting and (number := waiting[0][1]) not in measured:
        _, _, record = waiting[0]
        assert record.accuracy is not None
        measured[number] = measure(record.arch)
        if measured[number].ms > goal.ceiling_ms:
            heappop(waiting)
        else:
            reward = goal.reward(record.accuracy, measured[number].ms)
            heapreplace(waiting, (-reward, number, record))
        if len(measured) >= MOST:
            waiting = [one for one in waiting if one[1] in measured]
            heapify(waiting)
    if not waiting:
        raise BneckError(_too_slow(goal, [one.ms for one in measured.values()]))
    reward, number, record = waiting[0]
    assert record.accuracy is not None
    predicted = aims.predicted(record.arch)
    return Winner(
        number=number,
        arch=record.arch,
        target_ms=aims.aims[place].target_ms,
        accuracy=record.accuracy,
        predicted_ms=predicted.ms,
        predicted_std_ms=predicted.std_ms,
        measured_ms=measured[number].ms,
        measured_std_ms=measured[number].std_ms,
        reward=-reward,
        weight=tangent.weight if tangent else None,
        front_accuracy=tangent.accuracy if tangent else None,
    )


def _too_slow(goal: Goal, measured_ms: list[float]) -> str:
    return (
        f"the {len(measured_ms)} best networks measure {min(measured_ms):.3g} ms or more, above "
        f"the ceiling of {goal.ceiling_ms:.3g} ms, although less is predicted: calibrate again on "
        "a quieter machine"
    )
