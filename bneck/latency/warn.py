"""What a user must know of a prediction, said on stderr."""

import os
import sys

from bneck.latency.fingerprint import Fingerprint, cpu_name
from bneck.latency.model import LatencyModel
from bneck.space.architecture import Architecture


def warn_extrapolated(model: LatencyModel, arch: Architecture) -> None:
    """Say on stderr where a prediction extrapolates."""
    if paths := model.extrapolated(arch):
        more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
        print(
            f"warning: extrapolated: wider than anything timed in the calibration at "
            f"{', '.join(paths[:5])}{more}",
            file=sys.stderr,
        )


def warn_calibration(model: LatencyModel) -> None:
    """Say on stderr why a calibration is not to be relied on."""
    if doubt := model.report.doubt:
        print(f"warning: {doubt}", file=sys.stderr)


def warn_foreign(model: LatencyModel) -> None:
    """Say on stderr that predictions are another device's, where the CPU is another."""
    cpu, cores = cpu_name(), os.cpu_count() or 1
    if (model.device.cpu, model.device.cores) != (cpu, cores):
        print(
            f"warning: this latency model is of [{model.device}], this machine is [{cpu}, "
            f"{cores} cores]: predictions are that device's",
            file=sys.stderr,
        )


def warn_elsewhere(model: LatencyModel, here: Fingerprint) -> None:
    """Say on stderr when a model of another device is used here."""
    if model.device != here:
        print(
            f"warning: this latency model is of [{model.device}], this machine is [{here}]",
            file=sys.stderr,
        )
