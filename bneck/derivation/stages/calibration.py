"""The calibration: a latency model of the target device, and measurements on the device."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bneck import records
from bneck.derivation.plan import ANEW, Plan
from bneck.derivation.schedule import Schedule
from bneck.derivation.session import Session
from bneck.files import is_written
from bneck.latency import calibrations
from bneck.latency.calibrate import calibrate
from bneck.latency.calibration_report import UNSURE_PERCENT
from bneck.latency.device_load import wait_until_quiet
from bneck.latency.devices import Device, open_device
from bneck.latency.devices.file import FileDevice
from bneck.latency.devices.table import TableDevice
from bneck.latency.measure import Measured, agreeing, averaged, measure
from bneck.latency.model import LatencyModel, load
from bneck.latency.predictor import load_kept
from bneck.latency.published_table import PublishedTable
from bneck.latency.warn import check_device, warn_extrapolated
from bneck.progress import Progress, silent
from bneck.quantities import Latency, at_most_ms
from bneck.results.stage_record import KeptMeasurement
from bneck.space.architecture import Architecture
from bneck.space.backends.weights import State, arrays
from bneck.space.choices import Space
from bneck.space.cost import cost
from bneck.units import milliseconds

SESSIONS = 3
"""In so many is a network timed each time where the calibration saw that one is not enough."""


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

    def only_predicts(self, arch: Architecture, state: State | None = None) -> bool:
        """Return whether nothing of a network, with its trained weights, was or can be measured."""
        if isinstance(self.device, FileDevice):
            own = None if state is None else arrays(state)
            return not self.device.is_measured(arch.layers(), own)
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
        model = self.model
        if isinstance(model, PublishedTable) or self.only_predicts(arch, state):
            predicted = model.predict(arch)
            return Measured(predicted.ms, predicted.std_ms or 0.0, predicted=True)
        unsteady = 100 * self.repeat_error() > UNSURE_PERCENT and not self.device.by_hand
        sessions = SESSIONS if unsteady else 1
        with self.schedule.measuring():
            for done in range(sessions):
                self.progress("measuring", done, sessions)
                took = self._session(model, arch, state)
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

    def _session(self, model: LatencyModel, arch: Architecture, state: State | None) -> Measured:
        self.wait_until_quiet()
        took = measure(
            arch,
            self.device,
            weights=None if state is None else arrays(state),
            model=model,
        )
        kept = KeptMeasurement(arch, took.ms, took.std_ms, took.note)
        records.append(self.history, kept)
        return took


def planned_device(plan: Plan) -> Device:
    """Return the target device that a plan names, with its runtime and settings."""
    return open_device(
        plan.target_device,
        runtime=plan.runtime,
        threads=plan.threads,
        batch_size=plan.batch_size,
    )


def takes_no_time(plan: Plan, space: Space) -> bool:
    """Return whether calibrating is a matter of seconds, as far as this machine can tell.

    That is so where an earlier run has left a model to reuse, or where the clock has no noise.
    """
    if plan.target_device != "local":
        return False
    device = planned_device(plan)
    here = device.fingerprint()
    reused = plan.calibrate != ANEW and calibrations.reusable(calibrations.kept(here, space), here)
    return device.synthetic or bool(reused)


def check_kit(session: Session, space: Space) -> None:
    """Raise UsageError where the device's kit could not take a network of ``space`` in the end."""
    device = planned_device(session.plan)
    if isinstance(device, FileDevice):
        device.check_takes(space.decode(space.sample(session.plan.seed)))


def calibration_stage(session: Session, space: Space) -> TargetDevice:
    """Calibrate the target device on ``space``, or read the model that the run holds.

    A model that the plan names is copied into the run instead, as a table is.

    Raises:
        UsageError: a table that has changed since the run began, or a model of another side.
        BneckError: the model is of another device, so that nothing could be measured.
    """
    run, plan = session.run, session.plan
    device = planned_device(plan)
    wait = partial(wait_until_quiet, device.watch_idle, session.wait_quiet, session.progress)
    with session.timed("calibration"):
        if not is_written(run.latency):
            copied = _copied(session, space, device)
            if copied is not None:
                run.note_copied(run.latency)
            (copied or _calibrated(session, space, device, wait)).save(run.latency)
            shutil.rmtree(run.timings, ignore_errors=True)
    model = load_kept(run.latency)
    if isinstance(device, TableDevice) and isinstance(model, PublishedTable):
        device.check_kept(model)
    elif isinstance(model, LatencyModel):
        check_device(model, device, accept_version=plan.accept_version)
        if model.report.doubt:
            session.warn_once(model.report.doubt)
        if plan.latency is not None:  # which may be of another space
            seed = records.read_if_written(run.seed, Architecture)
            like = seed or space.least(lambda arch: -cost(arch).macs)
            model.check_resolution(like.resolution_px)
            warn_extrapolated(model, like)
    history, schedule = run.measurements, session.schedule
    return TargetDevice(model, device, history, wait, session.progress, schedule)


def _copied(session: Session, space: Space, device: Device) -> LatencyModel | PublishedTable | None:
    """What predicts latencies where nothing is timed: a table, or a model made before."""
    plan = session.plan
    if isinstance(device, TableDevice):
        return device.published
    if plan.latency is not None:
        return load(Path(plan.latency))
    if device.by_hand or device.synthetic or plan.calibrate == ANEW:
        return None
    here = device.fingerprint()
    file = calibrations.kept(here, space)
    if found := calibrations.reusable(file, here):
        session.progress(
            "calibration",
            1,
            1,
            f"calibrated {calibrations.age(file)}, {found.report.mape_percent:.1f} % mean error: "
            f"reused; --calibrate {ANEW}",
        )
    return found


def _calibrated(
    session: Session, space: Space, device: Device, wait_until_quiet: Callable[[], None]
) -> LatencyModel:
    """Calibrate the device, and keep the model for later runs."""
    run, plan = session.run, session.plan
    if isinstance(device, FileDevice):  # `check_kit` asks for the classes where they matter
        progress = session.progress
        return device.calibrated([space], seed=plan.seed, progress=progress, any_classes=True)
    wait_until_quiet()
    model = calibrate(
        [space],
        device,
        folder=run.timings,
        minutes=plan.calibration_minutes,
        seed=plan.seed,
        progress=session.progress,
    )
    if not device.synthetic:
        calibrations.keep(model, calibrations.kept(model.device, space))
    return model
