"""How far a calibration went: a prediction beyond it is an extrapolation, and says so."""

from collections.abc import Iterable, Mapping

from bneck.latency.features import Kernel, kernels, label
from bneck.space.layers import Layer

Reach = dict[str, list[int]]
"""Most channels in and out that were timed, by kernel: "depthwise 5x5/2 on 28 px" -> [72, 72]."""


def reach(networks: Iterable[tuple[Layer, ...]]) -> Reach:
    """What a calibration on these networks has seen."""
    found: Reach = {}
    for layers in networks:
        for _, kernel in kernels(layers):
            most = found.setdefault(_key(kernel), [0, 0])
            most[:] = max(most[0], kernel[1]), max(most[1], kernel[2])
    return found


def beyond(seen: Mapping[str, list[int]], layers: tuple[Layer, ...]) -> list[str]:
    """Paths of the kernels that are wider than any timed one, or of a window and side never met."""
    found = []
    for path, kernel in kernels(layers):
        channels_in, channels_out = seen.get(_key(kernel), [0, 0])
        if kernel[1] > channels_in or kernel[2] > channels_out:
            found.append(path)
    return list(dict.fromkeys(found))


def _key(kernel: Kernel) -> str:
    return label((*kernel[:-1], "none"))
