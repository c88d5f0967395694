"""What a user must know of a prediction, said on stderr."""

import os
from dataclasses import replace

from bneck.errors import UsageError
from bneck.latency.devices import Device
from bneck.latency.devices.local import LocalDevice
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.model import LatencyModel
from bneck.live import warn
from bneck.machine import cores, cpu_name
from bneck.space.architecture import Architecture
from bneck.text import number_of, some_of


def warn_extrapolated(model: LatencyModel, arch: Architecture, name: str = "") -> None:
    """Say on stderr where a prediction extrapolates; ``name`` is the network's, one of several."""
    if paths := model.extrapolated(arch):
        warn(
            f"{name}{': ' if name else ''}extrapolated: wider than anything timed in the "
            f"calibration at {some_of(paths, most=5)}"
        )


def too_many_threads(device: Device) -> str:
    """Return what to say of threads that this machine has no cores for; "" where it has them."""
    if not isinstance(device, LocalDevice) or device.synthetic or device.runtime.threads <= cores():
        return ""
    return (
        f"--threads {device.runtime.threads} is more than this machine has: "
        f"{number_of(cores(), 'core')}; threads that take turns are slow, and their latencies "
        "scatter"
    )


def check_device(model: LatencyModel, device: Device, *, accept_version: bool = False) -> None:
    """Raise where a model does not hold on a device, so that nothing measured there would compare.

    Args:
        model: a calibrated model.
        device: what is measured on.
        accept_version: whether another version of the runtime will do; it is said.

    Raises:
        UsageError: another machine, runtime, number of threads, batch size or version of the
            runtime.
    """
    here = device.fingerprint()
    if model.device == here:
        return
    if replace(model.device, version=here.version) != here:
        raise UsageError(
            f"the latency model was calibrated on [{model.device}] and this is [{here}]; measure "
            "on that device, or calibrate this one"
        )
    versions = f"{here.runtime} {model.device.version}, and {device.word} has {here.version}"
    if not accept_version:
        raise UsageError(
            f"the latency model was calibrated with {versions}: calibrate again, or take it as it "
            "is by --accept-version"
        )
    warn(f"the latency model was calibrated with {versions}")


def warn_foreign(model: LatencyModel) -> None:
    """Say on stderr that predictions are another device's, where the CPU is another."""
    cpu, count = cpu_name(), os.cpu_count() or 1
    if (model.device.cpu, model.device.cores) != (cpu, count):
        warn(
            f"this latency model is of [{model.device}], this machine is [{cpu}, "
            f"{number_of(count, 'core')}]: predictions are that device's"
        )


def warn_elsewhere(model: LatencyModel, here: Fingerprint) -> None:
    """Say on stderr when a model is not of the device that is measured on."""
    if model.device != here:
        warn(
            f"this latency model is of [{model.device}], and measurements are of [{here}]: "
            "measured ms are ratios to a reference network there, times its ms on the former"
        )
