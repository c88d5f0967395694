"""Selection of a search's network: the best by its reward, once its latency is measured."""

from collections.abc import Callable, Sequence

from bneck.errors import BneckError, UsageError
from bneck.latency.measure import Measured
from bneck.quantities import Accuracy
from bneck.results.record import Record
from bneck.results.stage_record import SelectedNetwork
from bneck.search.allowed import none_in_band
from bneck.search.objectives import Objective, Objectives
from bneck.search.samplers.history import LabelledNetwork
from bneck.space.architecture import Architecture

MOST = 10
"""Networks that are measured at most; of so many near equals the best measured is good enough."""


def select_network(
    records: Sequence[Record],
    objectives: Objectives,
    place: int,
    labels: Sequence[LabelledNetwork],
    measure: Callable[[Architecture], Measured],
) -> SelectedNetwork:
    """Return the network of largest reward for one of the targets, its latency measured.

    The best by prediction is measured, then what seems best with that known, until the best one is
    a measured one; what measures above the ceiling is out. Networks that were evaluated for another
    target count too. Where some were promoted to longer trainings, those trained longest come
    first.

    Args:
        records: all networks that the search evaluated, one record each.
        objectives: of all targets.
        place: which of the targets.
        labels: networks that a reward exponent is derived from, in the search's order.
        measure: times a network on the target device.

    Raises:
        UsageError: none with an accuracy is predicted between floor and ceiling.
        BneckError: no network has an accuracy (names the first reason), or all measure above the
            ceiling.
    """
    objective, derived = objectives.at(labels)[place], objectives.weights(labels)[place]
    waiting = {record.number: record for record in _allowed(records, objective)}
    if not waiting:
        raise _none_to_name(records, objective, objectives.with_confidence)
    measured: dict[int, Measured] = {}

    def reward_of(record: Record) -> float:
        """By the measured latency where there is one."""
        assert record.accuracy is not None
        known = measured.get(record.number)
        latency_ms = record.latency_ms if known is None else known.ms
        return objective.reward(record.accuracy, latency_ms)

    while waiting:  # the earlier of equals is better
        best = max(waiting.values(), key=lambda one: (one.rung, reward_of(one), -one.number))
        took = measured.get(best.number)
        if took is not None:
            assert best.accuracy is not None
            return SelectedNetwork(
                number=best.number,
                arch=best.arch,
                target_ms=objectives.targets[place].target_ms,
                accuracy=Accuracy(best.accuracy),
                predicted=objectives.predicted(best.arch),
                measured=None if took.predicted else took.latency,
                reward=reward_of(best),
                weight=derived.weight if derived else None,
                front_accuracy=derived.accuracy if derived else None,
            )
        measured[best.number] = measure(best.arch)
        if measured[best.number].ms > objective.ceiling_ms:
            del waiting[best.number]
        if len(measured) >= MOST:
            waiting = {number: waiting[number] for number in measured if number in waiting}
    raise BneckError(_too_slow(objective, [one.ms for one in measured.values()]))


def has_network(records: Sequence[Record], objective: Objective) -> bool:
    """Whether there is a network to select: scored, and predicted between floor and ceiling."""
    return bool(_allowed(records, objective))


def _allowed(records: Sequence[Record], objective: Objective) -> list[Record]:
    return [
        record
        for record in records
        if record.accuracy is not None and objective.allows(record.arch)
    ]


def _none_to_name(
    records: Sequence[Record], objective: Objective, with_confidence: str
) -> BneckError:
    """Why there is no network to measure.

    Args:
        records: what the search evaluated.
        objective: which latencies are allowed.
        with_confidence: how sure a prediction must be, in words.
    """
    if not records:
        return none_in_band(objective, with_confidence)
    errors = [record.error for record in records if record.error is not None]
    if errors and len(errors) == len(records):
        return BneckError(f"{_none_of(len(records))} could be scored: {errors[0]}")
    return UsageError(
        f"{_none_of(len(records) - len(errors))} that the search scored is predicted "
        f"from {objective.floor_ms:.3g} to {objective.ceiling_ms:.3g} ms; give more --evaluations"
    )


def _none_of(count: int) -> str:
    return "no network" if count == 1 else f"none of the {count} networks"


def _too_slow(objective: Objective, measured_ms: list[float]) -> str:
    count = len(measured_ms)
    best = "the best network measures" if count == 1 else f"the {count} best networks measure"
    return (
        f"{best} {min(measured_ms):.3g} ms or more, above "
        f"the ceiling of {objective.ceiling_ms:.3g} ms, although less is predicted: calibrate "
        "again on a quieter machine"
    )
