"""Which networks a calibration on a space could not predict."""

import pytest

from bneck.latency.calibration.networks import published
from bneck.latency.coverage import never_timed
from bneck.space import presets, spaces

SIZE = {"resolution_px": 32, "classes": 10}


@pytest.mark.parametrize(
    ("space", "network", "lacking"),
    [
        ("v3-small", "mobilenet_v2", "stem.conv (conv 3x3/2 on 32 px, relu6)"),
        ("v3-small", "mobilenet_v1", "stem.conv (conv 3x3/2 on 32 px, relu)"),
        ("v3-small", "mobilenet_v3_large", None),
        ("v3-small-plain", "mobilenet_v1", None),
        ("mnasnet", "mnasnet_a1", None),
        ("mnasnet", "mobilenet_v3_small", "stem.conv (conv 3x3/2 on 32 px, hswish)"),
    ],
)
def test_it_names_the_first_layer_that_a_space_has_nothing_of(
    space: str, network: str, lacking: str | None
) -> None:
    """V3's spaces have h-swish stems, MnasNet's no h-swish, and ReLU6 is MobileNetV2's."""
    arch = presets.build(network, **SIZE)
    assert never_timed(spaces.build(space, **SIZE), arch) == lacking


@pytest.mark.parametrize("network", presets.PRESETS)
def test_a_calibration_on_all_spaces_knows_the_published_networks(network: str) -> None:
    assert never_timed(published(*SIZE.values()), presets.build(network, **SIZE)) is None
