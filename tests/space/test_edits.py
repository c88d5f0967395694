"""Narrowing keeps what it does not name, and the network's topology."""

from dataclasses import dataclass

import pytest

from bneck.errors import UsageError
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.blocks import InvertedResidual, PlainConv
from bneck.space.cost import cost
from bneck.space.edits import narrow, narrowables, widened
from bneck.space.heads import PoolLinear
from bneck.space.layers import Layer, Residual, depthwise, output_shape, pointwise
from bneck.space.traits import has_residual


def topology(arch: Architecture) -> list[tuple[str, str]]:
    return [(type(layer).__name__, layer.path) for layer in arch.layers()]


def test_v3_small_offers_its_expansions_and_bottlenecks() -> None:
    """About 16 proposals a step (V3, section 4.2): 10 expansion layers, 5 bottlenecks."""
    found = {item.what: item.width for item in narrowables(presets.build("mobilenet_v3_small"))}
    assert [what for what in found if what.endswith("bottleneck")] == [
        f"s{stage}.bottleneck" for stage in range(1, 6)
    ]
    assert [found[f"s{stage}.bottleneck"] for stage in range(1, 6)] == [16, 24, 40, 48, 96]
    expansions = [width for what, width in found.items() if what.endswith("expand")]
    assert expansions == [72, 88, 96, 240, 240, 120, 144, 288, 576, 576]


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("mobilenet_v1", {}),
        ("mobilenet_v2", {"head.conv": 1280}),
        ("mobilenet_v3_small", {"head.conv": 576, "head.hidden": 1024}),
        ("mobilenet_v4_conv_small", {"head.conv": 960, "head.hidden": 1280}),
    ],
)
def test_the_layers_behind_the_last_block_narrow_too(name: str, widths: dict[str, int]) -> None:
    arch = presets.build(name)
    items = {item.what: item.width for item in narrowables(arch)}
    assert {what: width for what, width in items.items() if what.startswith("head")} == widths
    for what, width in widths.items():
        narrower = narrow(arch, what, width // 2)
        assert narrower.stages == arch.stages
        layers = {layer.path: layer for layer in narrower.layers()}
        layer = layers[what]
        assert width // 2 == getattr(layer, "out_channels", getattr(layer, "out_features", None))


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_narrowing_keeps_the_topology_and_saves(name: str) -> None:
    arch = presets.build(name, resolution_px=96)
    before = cost(arch)
    tried = 0
    for item in narrowables(arch):
        for width in range(item.width - 8, 0, -8):
            try:
                narrower = narrow(arch, item.what, width)
            except UsageError:
                continue
            assert topology(narrower) == topology(arch)
            assert cost(narrower).macs < before.macs
            assert cost(narrower).params < before.params
            tried += 1
            break
    assert tried >= 0.75 * len(narrowables(arch))  # some are 8 wide, or meet their input's width


def test_a_bottleneck_tied_to_the_stem_stays() -> None:
    """V3-Large's first block adds its input, the stem's output."""
    known = {item.what for item in narrowables(presets.build("mobilenet_v3_large"))}
    assert "s1.bottleneck" not in known
    assert "s2.bottleneck" in known


def test_bottleneck_narrows_every_block_that_shares_it() -> None:
    arch = presets.build("mobilenet_v3_small")
    narrower = narrow(arch, "s3.bottleneck", 32)
    assert [block.out for block in narrower.stages[2]] == [32, 32, 32]
    assert [block.expansion for block in narrower.stages[2]] == [96, 240, 240]
    residuals = [layer.path for layer in narrower.layers() if isinstance(layer, Residual)]
    assert residuals == [layer.path for layer in arch.layers() if isinstance(layer, Residual)]


def test_blocks_without_expansion_layer_follow_their_input() -> None:
    """MnasNet-small's second block of ratio 1 in a space, and V2's first block."""
    space = spaces.build("mnasnet")
    values = {**space.sample(1), "s3.ratio": 1, "s2.width": 24, "s3.depth": 2, "s3.width": 40}
    arch = space.decode(values)
    narrower = narrow(arch, "s2.bottleneck", 16)
    assert narrower.stages[2][0].expansion == 16
    assert narrower.stages[2][1].expansion == 40
    assert topology(narrower) == topology(arch)


def test_stages_tied_by_a_residual_shrink_together() -> None:
    arch = presets.build("mnasnet_small")
    narrower = narrow(arch, "s4-5.bottleneck", 24)
    assert {block.out for stage in narrower.stages[3:5] for block in stage} == {24}


@pytest.mark.parametrize(
    ("what", "width", "words"),
    [
        ("s9.bottleneck", 8, "unknown width to narrow: 's9.bottleneck'; known: s2.b1.expand"),
        ("s3.bottleneck", 40, "must shrink below 40, got 40"),
        ("s3.bottleneck", 0, "must shrink below 40, got 0"),
        ("s4.bottleneck", 40, "would add or drop a layer"),
        ("s3.b1.expand", 24, "would add or drop a layer"),
    ],
)
def test_illegal_narrowing_is_named(what: str, width: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        narrow(presets.build("mobilenet_v3_small"), what, width)


@pytest.mark.parametrize("multiplier", [1.25, 1.5, 2.0])
def test_widening_is_the_width_multiplier_without_the_stem(multiplier: float) -> None:
    """Of V3-Small all but the stem, and the inner width of the block that works at the stem's."""
    wider = widened(presets.build("mobilenet_v3_small"), multiplier)
    published = presets.build("mobilenet_v3_small", width=multiplier)
    assert wider.stem == presets.build("mobilenet_v3_small").stem
    assert wider.stages[0][0].expansion == wider.stem.out
    assert wider.stages[0][0].out == published.stages[0][0].out
    assert wider.stages[1:] == published.stages[1:]
    assert wider.head == published.head


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_can_be_widened(name: str) -> None:
    arch = presets.build(name, resolution_px=96)
    wider = widened(arch, 1.3)
    assert topology(wider) == topology(arch)
    assert cost(wider).macs > 1.2 * cost(arch).macs


def test_expansions_grow_before_the_widths_that_would_reach_them() -> None:
    """Twice 24 channels are the 48 of a block's expansion, whose layer would be dropped."""
    blocks = InvertedResidual(3, 64, 24, 2), InvertedResidual(3, 48, 24)
    wider = widened(Architecture(PlainConv(3, 16, 2), (blocks,), PoolLinear(), 10, 32), 2.0)
    assert [(block.expansion, block.out) for block in wider.stages[0]] == [(128, 48), (96, 48)]


@dataclass(frozen=True, slots=True)
class Inside:
    """A block of one's own that adds its convolution's output, not its input."""

    out: int
    stride: int = 1

    def lower(self, path: str, in_channels: int, in_px: int, norm: str) -> tuple[Layer, ...]:
        body = (depthwise(f"{path}.depthwise", self.out, 3, 1, in_px, "none", norm),)
        first = pointwise(f"{path}.conv", in_channels, self.out, in_px, "relu", norm)
        return (first, Residual(path, body))


@dataclass(frozen=True, slots=True)
class Filter:
    """A block of one's own that is a depthwise convolution alone."""

    out: int
    stride: int = 1

    def lower(self, path: str, in_channels: int, in_px: int, norm: str) -> tuple[Layer, ...]:
        return (depthwise(f"{path}.depthwise", in_channels, 3, 1, in_px, "relu", norm),)


def test_a_residual_inside_a_block_ties_no_stages() -> None:
    arch = Architecture(PlainConv(3, 8), ((Inside(16),), (Inside(24),)), PoolLinear(), 10, 16)
    widths = {item.what: item.width for item in narrowables(arch)}
    assert widths == {"s1.bottleneck": 16, "s2.bottleneck": 24}
    narrower = narrow(arch, "s2.bottleneck", 8)
    assert [stage[0].out for stage in narrower.stages] == [16, 8]
    assert not any(has_residual(part) for part in arch.parts())


def test_a_depthwise_convolution_alone_ties_stages() -> None:
    stages = ((PlainConv(1, 24),), (Filter(24),), (PlainConv(1, 40),))
    arch = Architecture(PlainConv(3, 8), stages, PoolLinear(), 10, 16)
    assert [item.what for item in narrowables(arch)] == ["s1-2.bottleneck", "s3.bottleneck"]
    narrower = narrow(arch, "s1-2.bottleneck", 16)
    assert [output_shape(layer)[0] for layer in narrower.layers()] == [8, 16, 16, 40, 40, 10]
