"""What a user must know of a prediction, said on stderr."""

import os

from bneck.latency.fingerprint import Fingerprint
from bneck.latency.model import LatencyModel
from bneck.live import warn
from bneck.machine import cpu_name
from bneck.space.architecture import Architecture


def warn_extrapolated(model: LatencyModel, arch: Architecture) -> None:
    """Say on stderr where a prediction extrapolates."""
    if paths := model.extrapolated(arch):
        more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
        warn(
            f"extrapolated: wider than anything timed in the calibration at "
            f"{', '.join(paths[:5])}{more}"
        )


def warn_calibration(model: LatencyModel) -> None:
    """Say on stderr why a calibration is not to be relied on."""
    if doubt := model.report.doubt:
        warn(doubt)


def warn_foreign(model: LatencyModel) -> None:
    """Say on stderr that predictions are another device's, where the CPU is another."""
    cpu, cores = cpu_name(), os.cpu_count() or 1
    if (model.device.cpu, model.device.cores) != (cpu, cores):
        warn(
            f"this latency model is of [{model.device}], this machine is [{cpu}, "
            f"{cores} cores]: predictions are that device's"
        )


def warn_elsewhere(model: LatencyModel, here: Fingerprint) -> None:
    """Say on stderr when a model of another device is used here."""
    if model.device != here:
        warn(f"this latency model is of [{model.device}], this machine is [{here}]")
