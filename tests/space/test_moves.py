"""V3's hand-made steps save what the paper says of them (sections 5.1 and 5.2)."""

from dataclasses import replace

import pytest

from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.blocks import Block, InvertedResidual, PlainConv
from bneck.space.cost import cost
from bneck.space.heads import ConvPoolLinear
from bneck.space.moves import halved_stems, late_hswish, rebuilt_last_stages

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


WIDENS, STRIDED = InvertedResidual(3, 96, 64), InvertedResidual(3, 96, 64, 2)


@pytest.mark.parametrize(
    ("stages", "without"),
    [
        (((STRIDED,), (WIDENS,)), ", without s2"),
        (((STRIDED,), (STRIDED,)), None),  # what is behind it needs its smaller maps
        (((STRIDED,), (WIDENS, WIDENS)), None),
        (((WIDENS,),), None),  # all that there is
    ],
)
def test_only_a_last_block_that_does_nothing_but_widen_is_dropped(
    stages: tuple[tuple[Block, ...], ...], without: str | None
) -> None:
    arch = Architecture(PlainConv(3, 16, 2), stages, ConvPoolLinear(256), 10, 32)
    names = [name for name, _ in rebuilt_last_stages(arch)]
    dropped = [] if without is None else [f"last stage rebuilt{without}"]
    assert names == [*dropped, "last stage rebuilt"]


@pytest.mark.parametrize(("stem", "halved"), [(16, ["stem 16->8 relu"]), (8, [])])
def test_a_stem_keeps_8_filters(stem: int, halved: list[str]) -> None:
    arch = replace(SEED, stem=PlainConv(3, stem, 2))
    assert [name for name, _ in halved_stems(arch)][1:] == halved


def test_hswish_may_begin_at_any_stage_or_nowhere() -> None:
    """Of ReLU's network with h-swish from its sixth stage on: all but what it is already."""
    last = replace(SEED.stages[-1][0], activation="hswish")
    found = dict(late_hswish(replace(SEED, stages=(*SEED.stages[:-1], (last,)))))
    assert list(found) == [*(f"h-swish from s{first} on" for first in range(1, 7)), "no h-swish"]
    assert found["no h-swish"] == SEED
