"""Which networks a reproduction trains and compares."""

from collections.abc import Iterator, Mapping

from bneck.derivation.stages.target_device import TargetDevice
from bneck.netadapt.proposals import GRID, ProposalGenerator
from bneck.reproduction.plan import PUBLISHED
from bneck.reproduction.width_baseline import narrowest_over
from bneck.results.stage_record import Shrunk
from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.presets import MOBILENET_V3_SMALL

LARGER = "mobilenet_v3_large"
"""The preset whose width multiplier meets latencies above MobileNetV3-Small's."""


def networks_to_compare(
    device: TargetDevice, derived: Mapping[float, Shrunk], *, resolution_px: int, classes: int
) -> Iterator[tuple[str, str, float, Architecture]]:
    """Yield (name, kind, factor, network) of all networks that are compared.

    MobileNetV3-Small is followed by itself with the channels that cost this device nothing, each
    derived network by the width multiplier at its latency.

    Args:
        device: measures the width multipliers.
        derived: the derived networks, by factor.
        resolution_px: side of the images, in px.
        classes: of the images.
    """
    size = {"resolution_px": resolution_px, "classes": classes}
    published = presets.build(MOBILENET_V3_SMALL).at(**size)
    published_ms = device.measure(published).ms
    yield MOBILENET_V3_SMALL, "published", PUBLISHED, published
    grid = max(GRID, device.model.channel_grid)
    if (wider := ProposalGenerator(device.model, grid).widened(published)) is not None:
        yield f"{MOBILENET_V3_SMALL}-free-channels", "free channels", PUBLISHED, wider[1]
    for factor, shrunk in derived.items():
        yield f"derived-{factor:g}x", "derived", factor, shrunk.arch
        if factor != PUBLISHED:
            preset = MOBILENET_V3_SMALL if factor < PUBLISHED else LARGER
            width, arch = narrowest_over(preset, factor * published_ms, device, **size)
            yield f"{preset}-{width:g}", "width multiplier", factor, arch
