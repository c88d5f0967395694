"""The target device of a run: what predicts and measures networks for all stages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

from bneck import records
from bneck.derivation.schedule import Schedule
from bneck.derivation.session import Session
from bneck.latency.calibration.report import UNSURE_PERCENT
from bneck.latency.devices import Device
from bneck.latency.devices.file import FileDevice
from bneck.latency.measure import Measured, measure
from bneck.latency.model import LatencyModel
from bneck.latency.published_table import PublishedTable
from bneck.latency.runtimes.weights import Array
from bneck.progress import Progress, silent
from bneck.quantities import Latency, at_most_ms
from bneck.results.stage_record import KeptMeasurement
from bneck.space.architecture import Architecture
from bneck.space.backends.weights import State, arrays
from bneck.units import milliseconds

SESSIONS = 3
"""Timings of a network each time it is measured, where the calibration saw that one is too few."""
DISAGREEING = 0.03
"""Relative difference between two measurements of a network that is worth a word."""


@dataclass(frozen=True, slots=True)
class TargetDevice:
    """The latency model, and the device that it was calibrated on; or a published table.

    Attributes:
        history: the file that keeps all measurements of the run.
        wait_until_quiet: is called before each measurement.
        progress: is told of each measurement's sessions, and of their result.
        schedule: is told what each measurement takes.
    """

    model: LatencyModel | PublishedTable
    device: Device
    history: Path
    wait_until_quiet: Callable[[], None]
    progress: Progress = silent
    schedule: Schedule = field(default_factory=Schedule)

    def only_predicts(self, arch: Architecture, weights: dict[str, Array] | None = None) -> bool:
        """Return whether nothing of a network, with its trained weights, was or can be measured."""
        if isinstance(self.device, FileDevice):
            return not self.device.is_measured(arch.layers(), weights)
        return self.device.published is not None

    def measure(self, arch: Architecture, state: State | None = None) -> Measured:
        """Time a network of any resolution, on the scale of the calibration.

        Where the network was measured before in this run and the two disagree, the stated spread
        covers both. Where the calibration saw that measuring again differs by more than a doubtful
        calibration may, it is timed in three sessions, and the mean of all of the run's counts.

        Args:
            arch: the network.
            state: its trained weights; None times random ones.
        """
        model, weights = self.model, None if state is None else arrays(state)
        if isinstance(model, PublishedTable) or self.only_predicts(arch, weights):
            predicted = model.predict(arch)
            return Measured(predicted.ms, predicted.std_ms or 0.0, predicted=True)
        unsteady = 100 * self.repeat_error() > UNSURE_PERCENT and not self.device.by_hand
        sessions = SESSIONS if unsteady else 1
        with self.schedule.measuring():
            for done in range(sessions):
                self.progress("measuring", done, sessions)
                took = self._session(model, arch, weights)
        *earlier_ms, _ = [
            one.ms for one in records.read_lines(self.history, KeptMeasurement) if one.arch == arch
        ]
        agreed = agreeing(took, earlier_ms)
        found = averaged(agreed, earlier_ms) if unsteady else agreed
        self.progress("measuring", sessions, sessions, f"{milliseconds(found.latency)} ms")
        return found

    def at_most(self, arch: Architecture) -> Latency:
        """Return what a network measures, or what it is predicted to stay under."""
        took = self.measure(arch)
        if not took.predicted:
            return took.latency
        return Latency(at_most_ms(took.latency), took.std_ms)

    def repeat_error(self) -> float:
        """Return the relative difference that measuring a network again makes; 0 for a table."""
        if isinstance(self.model, PublishedTable):
            return 0.0
        return self.model.report.repeat_mape_percent / 100

    def _session(
        self, model: LatencyModel, arch: Architecture, weights: dict[str, Array] | None
    ) -> Measured:
        self.wait_until_quiet()
        took = measure(arch, self.device, weights=weights, model=model)
        records.append(self.history, KeptMeasurement(arch, took.ms, took.std_ms, took.note))
        return took


def check_reached(session: Session) -> None:
    """Raise BneckError where the target device cannot be reached, or measured on, by now.

    That is said before images are decoded, which may take hours.
    """
    device = session.target_device()
    if device.published is None and not device.by_hand:
        device.fingerprint()


def agreeing(measured: Measured, earlier_ms: Sequence[float]) -> Measured:
    """Return a measurement as sure as earlier ones of the same network, in other sessions, allow.

    Where they differ by more than their own spreads say, its standard error is that of one of two
    sessions, by their difference: it over the root of 2.
    """
    if not earlier_ms:
        return measured
    apart = max(earlier_ms, key=lambda ms: abs(ms - measured.ms))
    std_ms = max(measured.std_ms, abs(apart - measured.ms) / sqrt(2))
    note = measured.note
    if abs(apart / measured.ms - 1) > DISAGREEING:
        words = f"the same network measured {apart:.3g} ms at another time of this run"
        note = f"{note}; {words}" if note else words
    return replace(measured, std_ms=std_ms, note=note)


def averaged(measured: Measured, earlier_ms: Sequence[float]) -> Measured:
    """Return the mean of a network's measurements, in sessions that differ by more than they say.

    Its standard error is by how they scatter, and no less than what the last says of itself allows.

    Args:
        measured: the last one.
        earlier_ms: those of the sessions before it, at least one.
    """
    every_ms = [*earlier_ms, measured.ms]
    std_ms = max(stdev(every_ms), measured.std_ms) / sqrt(len(every_ms))
    return replace(measured, ms=fmean(every_ms), std_ms=std_ms)
