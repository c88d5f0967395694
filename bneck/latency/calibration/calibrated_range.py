"""What a calibration has timed: a prediction outside of it is an extrapolation, and says so."""

from collections.abc import Iterable, Mapping

from bneck.latency.features import Kernel, kernels, label
from bneck.space.layers import Layer

CalibratedRange = dict[str, list[int]]
"""Most channels in and out that were timed, by kernel: "depthwise 5x5/2 on 28 px" -> [72, 72]."""


def calibrated_range(networks: Iterable[tuple[Layer, ...]]) -> CalibratedRange:
    """Return the widths that a calibration on these networks has timed."""
    found: CalibratedRange = {}
    for layers in networks:
        for _, kernel in kernels(layers):
            most = found.setdefault(_key(kernel), [0, 0])
            most[:] = max(most[0], kernel.in_channels), max(most[1], kernel.out_channels)
    return found


def extrapolated(seen: Mapping[str, list[int]], layers: tuple[Layer, ...]) -> list[str]:
    """Return the paths of kernels that are wider than any timed one, or of no timed size."""
    found = []
    for path, kernel in kernels(layers):
        channels_in, channels_out = seen.get(_key(kernel), [0, 0])
        if kernel.in_channels > channels_in or kernel.out_channels > channels_out:
            found.append(path)
    return list(dict.fromkeys(found))


def _key(kernel: Kernel) -> str:
    return label(kernel._replace(activation="none"))
