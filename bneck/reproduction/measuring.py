"""What a reproduction measures: networks in one session, before their trainings and after."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from bneck.latency.measure import Measured
from bneck.progress import Progress, silent
from bneck.quantities import Latency
from bneck.space.architecture import Architecture

TURNS = 3
"""So often each trained network is measured."""

Network = TypeVar("Network")
State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class MeasuredNetwork:
    """A network of the comparison, and its latency as measured in the one session."""

    name: str
    kind: str
    factor: float
    arch: Architecture
    measured: Latency


@dataclass(frozen=True, slots=True)
class Walked:
    """One step of NetAdapt's path to a factor: predicted and measured."""

    factor: float
    step: int
    predicted: Latency
    measured: Latency


@dataclass(frozen=True, slots=True)
class MeasuredAgain:
    """The latency of a network with its trained weights."""

    name: str
    measured: Latency


def measured_in_turns(
    networks: Mapping[str, tuple[Network, State]],
    measure: Callable[[Network, State], Measured],
    progress: Progress = silent,
) -> list[MeasuredAgain]:
    """Measure networks with their weights, all of them once, then all again, ``TURNS`` times.

    The median of a network's measurements counts. Its standard error is the largest of theirs, or
    half of their range if that is more.

    Args:
        networks: each with its weights, by name.
        measure: times one.
        progress: told which one is timed.
    """
    took: dict[str, list[Latency]] = {name: [] for name in networks}
    total = TURNS * len(networks)
    for done, name in enumerate(TURNS * list(networks)):
        progress("measuring", done, total, name)
        took[name].append(measure(*networks[name]).latency)
    progress("measuring", total, total)
    return [MeasuredAgain(name, _together(latencies)) for name, latencies in took.items()]


def _together(latencies: list[Latency]) -> Latency:
    found_ms = [one.ms for one in latencies]
    apart_ms = (max(found_ms) - min(found_ms)) / 2
    return Latency(median(found_ms), max([apart_ms, *(one.std_ms or 0.0 for one in latencies)]))
