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
"""Measurements of each trained network."""

Network = TypeVar("Network")
State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class MeasuredNetwork:
    """A network of the comparison, and its latency as measured in the one session.

    ``note`` says why it is not to be relied on; empty where it is.
    """

    name: str
    kind: str
    factor: float
    arch: Architecture
    measured: Latency
    note: str = ""


@dataclass(frozen=True, slots=True)
class MeasuredStep:
    """One step of NetAdapt's path to a factor: predicted and measured."""

    factor: float
    step: int
    predicted: Latency
    measured: Latency


@dataclass(frozen=True, slots=True)
class MeasuredAgain:
    """The latency of a network with its trained weights; ``note`` as above."""

    name: str
    measured: Latency
    note: str = ""


def measured_in_turns(
    networks: Mapping[str, tuple[Network, State]],
    measure: Callable[[Network, State], Measured],
    progress: Progress = silent,
) -> list[MeasuredAgain]:
    """Measure networks with their weights, all of them once, then all again, ``TURNS`` times.

    The median of a network's measurements counts. Its standard error is the largest of theirs, or
    half of their range if that is more. A doubt about any of them is one about the network.

    Args:
        networks: each with its weights, by name.
        measure: times one.
        progress: told which one is timed.
    """
    took: dict[str, list[Measured]] = {name: [] for name in networks}
    total = TURNS * len(networks)
    for done, name in enumerate(TURNS * list(networks)):
        progress("measuring", done, total, name)
        took[name].append(measure(*networks[name]))
    progress("measuring", total, total)
    return [_together(name, turns) for name, turns in took.items()]


def _together(name: str, turns: list[Measured]) -> MeasuredAgain:
    found_ms = [one.ms for one in turns]
    apart_ms = (max(found_ms) - min(found_ms)) / 2
    latency = Latency(median(found_ms), max([apart_ms, *(one.std_ms for one in turns)]))
    return MeasuredAgain(name, latency, next((one.note for one in turns if one.note), ""))
