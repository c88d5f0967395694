"""What each derived network is compared with: the width multiplier that is no faster."""

from types import SimpleNamespace
from typing import cast

from bneck.derivation.stages.target_device import TargetDevice
from bneck.quantities import Latency
from bneck.reproduction.compared_networks import networks_to_compare
from bneck.results.stage_record import Shrunk
from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.cost import cost


def macs_ms(arch: Architecture) -> Latency:
    return Latency(cost(arch).macs / 1e6)


def test_faster_ones_are_widths_of_v3_small_and_slower_ones_of_v3_large() -> None:
    """By a device that counts multiply-adds, on which no channel is free."""
    model = SimpleNamespace(predict=macs_ms, channel_grid=8)
    device = cast(TargetDevice, SimpleNamespace(model=model, measure=macs_ms))
    published = presets.build("mobilenet_v3_small", resolution_px=32, classes=10)
    derived = {
        factor: Shrunk(factor, published, 1, Latency(factor), None, None, met=False)
        for factor in (1.5, 1.0, 0.6)
    }
    found = list(networks_to_compare(device, derived, resolution_px=32, classes=10))
    kinds = [(name.rpartition("-")[0], kind, factor) for name, kind, factor, _ in found]
    assert kinds == [
        ("", "published", 1.0),
        ("derived", "derived", 1.5),
        ("mobilenet_v3_large", "width multiplier", 1.5),
        ("derived", "derived", 1.0),
        ("derived", "derived", 0.6),
        ("mobilenet_v3_small", "width multiplier", 0.6),
    ]
    for _, kind, factor, arch in found:
        if kind == "width multiplier":
            assert 1 <= macs_ms(arch).ms / (factor * macs_ms(published).ms) < 1.1
