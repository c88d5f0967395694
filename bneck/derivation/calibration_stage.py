"""The calibration: a latency model of the target device, and measurements on the device."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from bneck.derivation.session import Session
from bneck.errors import BneckError
from bneck.files import is_written
from bneck.latency.calibrate import calibrate
from bneck.latency.devices import Device, open_device
from bneck.latency.measure import Measured, measure
from bneck.latency.model import LatencyModel, load
from bneck.space.architecture import Architecture
from bneck.space.choices import Space


@dataclass(frozen=True, slots=True)
class TargetDevice:
    """The latency model, and the device that it was calibrated on."""

    model: LatencyModel
    device: Device

    def measure(self, arch: Architecture) -> Measured:
        """Time a network of any resolution, on the scale of the calibration."""
        model = self.model
        return measure(arch, self.device, scale=model.scale, resolution_px=model.resolution_px)


def calibration_stage(session: Session, space: Space) -> TargetDevice:
    """Calibrate the target device on ``space``, or read the model that the run holds.

    A model that the plan names is copied into the run instead.

    Raises:
        BneckError: the model is of another device, so that nothing could be measured.
    """
    run, plan = session.run, session.plan
    device = open_device(runtime=plan.runtime, threads=plan.threads)
    with session.timed("calibration"):
        if not is_written(run.latency) and plan.latency is not None:
            load(Path(plan.latency)).save(run.latency)
        elif not is_written(run.latency):
            work = run.latency.with_suffix(".work")
            model = calibrate(
                [space],
                device,
                folder=work,
                minutes=plan.calibration_minutes,
                seed=plan.seed,
                progress=session.progress,
            )
            model.save(run.latency)
            shutil.rmtree(work, ignore_errors=True)
    model = load(run.latency)
    if model.device != (here := device.fingerprint()):
        raise BneckError(
            f"{run.latency} was calibrated on [{model.device}] and this is [{here}]; "
            "measure on that device, or use another --out"
        )
    return TargetDevice(model, device)
