"""The calibration: a latency model of the target device."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bneck import records
from bneck.derivation.plan import ANEW, Plan
from bneck.derivation.session import Session, planned_device
from bneck.derivation.stages.target_device import TargetDevice
from bneck.files import is_written
from bneck.latency.calibration import calibrations
from bneck.latency.calibration.calibrate import calibrate
from bneck.latency.device_load import wait_until_quiet
from bneck.latency.devices import Device
from bneck.latency.devices.file import FileDevice
from bneck.latency.devices.table import TableDevice
from bneck.latency.model import LatencyModel, load
from bneck.latency.predictor import load_kept
from bneck.latency.published_table import PublishedTable
from bneck.latency.warn import check_device, too_many_threads, warn_extrapolated
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.space.cost import cost


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
    device = session.target_device()
    if isinstance(device, FileDevice):
        device.check_takes(space.decode(space.sample(session.plan.seed)))


def calibration_stage(session: Session, space: Space) -> TargetDevice:
    """Calibrate the target device on ``space``, or read the model that the run holds.

    A model that the plan names is copied into the run instead, as a table is.

    Raises:
        UsageError: a table that has changed since the run began, or a model of another side or
            device.
    """
    run, plan = session.run, session.plan
    device = session.target_device()
    if said := too_many_threads(device):
        session.warn_once(said)
    wait = partial(wait_until_quiet, device.watch_idle, session.wait_quiet, session.progress)
    with session.timed("calibration"):
        if not is_written(run.latency):
            copied = _copied(session, space, device)
            if copied is not None:
                run.note_copied(run.latency)
            (copied or _calibrated(session, space, device, wait)).save(run.latency)
    shutil.rmtree(run.timings, ignore_errors=True)  # also what a kill has left
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
    return TargetDevice(model, device, run.measurements, wait, session.progress, session.schedule)


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
