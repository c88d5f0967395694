"""The width multiplier as a way to meet a latency: what every other way is compared with."""

from bneck.derivation.stages.target_device import TargetDevice
from bneck.errors import UsageError
from bneck.space import presets
from bneck.space.architecture import Architecture

STEP, LEAST, MOST = 0.01, 0.05, 2.0
"""Width multipliers that are tried; channels are multiples of 8, so that many are alike."""


def narrowest_over(
    preset: str, target_ms: float, device: TargetDevice, *, resolution_px: int, classes: int
) -> tuple[float, Architecture]:
    """The least width multiplier from 0.05 on whose network *measures* at or over ``target_ms``.

    Multipliers go by large steps of latency. So what is at the target or under it is compared with
    a network that is no faster, never with one that was held back.

    Args:
        preset: the network whose width is varied.
        target_ms: what it must take at least, measured.
        device: measures it.
        resolution_px: its input side, in px.
        classes: its class count.

    Raises:
        UsageError: not even the widest, at 2, does (names what it takes).
    """
    low, high, found, most_ms = round(LEAST / STEP), round(MOST / STEP), None, 0.0
    while low <= high:
        middle = (low + high) // 2
        width = round(middle * STEP, 2)
        arch = presets.build(preset, width=width, resolution_px=resolution_px, classes=classes)
        most_ms = device.measure(arch).ms
        if most_ms >= target_ms:
            found, high = (width, arch), middle - 1
        else:
            low = middle + 1
    if found is None:
        raise UsageError(f"{preset} at width {MOST:g} takes {most_ms:.3g} ms, not {target_ms:.3g}")
    return found
