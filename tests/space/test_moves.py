"""V3's hand-made steps save what the paper says of them (sections 5.1 and 5.2)."""

import pytest

from bneck.space import presets
from bneck.space.cost import cost
from bneck.space.moves import halved_stems, rebuilt_last_stages

SEED = presets.build("mnasnet_a1")  # so near is MobileNetV3-Large's own seed (section 4.1)


def saved(arch: object) -> float:
    """Millions of multiply-adds."""
    return (cost(SEED).macs - cost(arch).macs) / 1e6


def test_a_stem_of_16_filters_saves_10_million_multiply_adds() -> None:
    found = dict(halved_stems(SEED))
    assert list(found) == ["stem 32->16 hswish", "stem 32->16 relu"]
    assert [saved(arch) for arch in found.values()] == pytest.approx([10, 10], abs=0.5)


def test_the_rebuilt_last_stage_saves_about_30_million_multiply_adds() -> None:
    """By formula, what figure 5 takes away and adds: 49 pixels, of 160 channels expanded to 960."""
    found = dict(rebuilt_last_stages(SEED))
    before = 49 * (960 * 9 + 960 * 320 + 320 * 1280)  # depthwise, projection, last convolution
    without = found["last stage rebuilt, without s7"]
    assert saved(without) == pytest.approx((before - 960 * 1280) / 1e6, abs=0.1)
    assert saved(without) == pytest.approx(30, abs=5)
