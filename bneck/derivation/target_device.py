"""The device that latency is meant for: its calibrated model, and measurements on it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from bneck.errors import BneckError
from bneck.latency.calibrate import calibrate
from bneck.latency.device import this_device
from bneck.latency.measure import Measured, measure
from bneck.latency.model import LatencyModel, load
from bneck.latency.runtimes import Runtime, open_runtime
from bneck.progress import Progress, silent
from bneck.space.architecture import Architecture
from bneck.space.choices import Space


@dataclass(frozen=True, slots=True)
class TargetDevice:
    """The model, and the runtime it was calibrated on."""

    model: LatencyModel
    runtime: Runtime

    def measure(self, arch: Architecture) -> Measured:
        """Time a network of any side here, on the scale of the calibration."""
        model = self.model
        return measure(arch, self.runtime, scale=model.scale, resolution_px=model.resolution_px)


def target_device(
    file: Path,
    space: Space,
    *,
    runtime: str,
    threads: int,
    calibrated: Path | None,
    minutes: float,
    seed: int,
    progress: Progress = silent,
) -> TargetDevice:
    """The device whose model is in ``file``.

    Where there is none, the ``calibrated`` model is copied there, or this machine is calibrated.

    Raises:
        BneckError: the model is another device's, so nothing could be measured.
    """
    opened = open_runtime(runtime, threads=threads)
    if not file.exists() and calibrated is not None:
        load(calibrated).save(file)
    elif not file.exists():
        work = file.with_suffix(".work")
        model = calibrate(
            [space], opened, folder=work, minutes=minutes, seed=seed, progress=progress
        )
        model.save(file)
        shutil.rmtree(work, ignore_errors=True)
    model = load(file)
    if model.device != (here := this_device(opened)):
        raise BneckError(
            f"{file} was calibrated on [{model.device}] and this is [{here}]; "
            "measure on that device, or use another --out"
        )
    return TargetDevice(model, opened)
