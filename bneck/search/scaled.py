"""The width multiplier as a way to meet a latency: what every other way is compared with."""

from bneck.errors import UsageError
from bneck.search.target_device import TargetDevice
from bneck.space import presets
from bneck.space.architecture import Architecture

STEP, LEAST, MOST = 0.01, 0.05, 2.0
"""Width multipliers that are tried; channels are multiples of 8, so that many are alike."""


def widest_under(
    preset: str, target_ms: float, device: TargetDevice, *, resolution_px: int, classes: int
) -> tuple[float, Architecture]:
    """The largest width multiplier up to 2 whose network *measures* at or under ``target_ms``.

    Raises:
        UsageError: not even the narrowest does (names what it takes).
    """
    low, high, found, least_ms = round(LEAST / STEP), round(MOST / STEP), None, 0.0
    while low <= high:
        middle = (low + high) // 2
        width = round(middle * STEP, 2)
        arch = presets.build(preset, width=width, resolution_px=resolution_px, classes=classes)
        least_ms = device.measure(arch).ms
        if least_ms <= target_ms:
            found, low = (width, arch), middle + 1
        else:
            high = middle - 1
    if found is None:
        raise UsageError(f"{preset} at width {LEAST} takes {least_ms:.3g} ms, not {target_ms:.3g}")
    return found
