"""No two blocks that compute something else have one name in a published table."""

from dataclasses import dataclass

from bneck.latency.block_names import block_names
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.blocks import (
    Block,
    DepthwiseSeparable,
    FusedBottleneck,
    Identity,
    InvertedResidual,
    PlainConv,
    UniversalBottleneck,
)
from bneck.space.heads import PoolLinear
from bneck.space.layers import Conv, Layer, Linear, Pool


def name_of(block: Block) -> str:
    arch = Architecture(PlainConv(3, 16, 2), ((block,),), PoolLinear(), 10, 16)
    return dict(block_names(arch.layers()))["s1.b1"]


def test_names_say_what_once_for_all_cannot() -> None:
    names = dict(block_names(presets.build("mnasnet_a1").layers()))
    assert names["s3.b1"].endswith("-se:1-hs:0-squeeze:6-gate:sigmoid")
    assert names["s3.b2"].startswith("expanded_conv-input:28x28x40-output:28x28x40-expand:120-")
    v2 = dict(block_names(presets.build("mobilenet_v2").layers()))
    assert v2["s2.b2"].endswith("-idskip:1-se:0-hs:0-act:relu6")
    v1 = dict(block_names(presets.build("mobilenet_v1").layers()))
    assert v1["s1.b1"] == "depthwise+project-input:112x112x32-output:112x112x64"


def test_every_other_kernel_width_and_activation_has_another_name() -> None:
    blocks: tuple[Block, ...] = (
        InvertedResidual(3, 64, 24),
        InvertedResidual(3, 16, 24),
        UniversalBottleneck(5, 3, 64, 24),  # was taken for the first
        UniversalBottleneck(3, 3, 64, 24),
        UniversalBottleneck(0, 3, 16, 24),  # was taken for the second, which has no expansion
        UniversalBottleneck(3, 0, 64, 24),
        UniversalBottleneck(5, 0, 64, 24),
        UniversalBottleneck(0, 0, 64, 24),
        UniversalBottleneck(0, 0, 96, 24),
        UniversalBottleneck(0, 0, 96, 16),
        FusedBottleneck(3, 64, 24),
        FusedBottleneck(5, 64, 24),
        FusedBottleneck(5, 96, 24),
        FusedBottleneck(5, 96, 24, activation="hswish"),
        DepthwiseSeparable(3, 24),
        DepthwiseSeparable(5, 24),
        DepthwiseSeparable(5, 24, activation="relu6"),
        PlainConv(3, 24),
        PlainConv(1, 24),
        Identity(24),
    )
    names = [name_of(block) for block in blocks]
    assert len({*names}) == len(names)


def test_an_inverted_bottleneck_has_once_for_alls_name_whatever_block_makes_it() -> None:
    assert name_of(UniversalBottleneck(0, 5, 64, 24)) == name_of(InvertedResidual(5, 64, 24))


@dataclass(frozen=True, slots=True)
class OwnHead:
    """A head of one's own: a convolution before the pool that no head here has."""

    kernel: int
    groups: int = 1

    def lower(self, in_channels: int, in_px: int, classes: int, norm: str) -> tuple[Layer, ...]:
        kernel, groups = self.kernel, self.groups
        mix = Conv("head.mix", in_channels, 32, kernel, 1, groups, in_px, "relu", norm)
        return (mix, Pool("head.pool", 32, in_px), Linear("head.classifier", 32, classes, "none"))


def test_layers_of_a_head_of_ones_own_have_names_too() -> None:
    def name(kernel: int, groups: int = 1) -> str:
        head = OwnHead(kernel, groups)
        arch = Architecture(PlainConv(3, 16, 2), ((Identity(16),),), head, 10, 16)
        return dict(block_names(arch.layers()))["head.mix"]

    assert name(1) == "head.mix-input:8x8x16-output:8x8x32-act:relu"
    assert name(3) == "head.mix-input:8x8x16-output:8x8x32-kernel:3-act:relu"
    assert name(3, 4) == "head.mix-input:8x8x16-output:8x8x32-kernel:3-groups:4-act:relu"


@dataclass(frozen=True, slots=True)
class Shuffled:
    """As a unit of ShuffleNet: a bottleneck's layers, the 1x1 convolutions in groups."""

    groups: int
    out: int = 24
    stride: int = 1

    def lower(self, path: str, in_channels: int, in_px: int, norm: str) -> tuple[Layer, ...]:
        ends, wide = self.groups, 32
        return (
            Conv(f"{path}.expand", in_channels, wide, 1, 1, ends, in_px, "relu", norm),
            Conv(f"{path}.depthwise", wide, wide, 3, 1, wide, in_px, "relu", norm),
            Conv(f"{path}.project", wide, self.out, 1, 1, ends, in_px, "none", norm),
        )


def test_a_bottleneck_of_ones_own_has_once_for_alls_name_only_where_it_is_one() -> None:
    assert name_of(Shuffled(1)) == name_of(InvertedResidual(3, 32, 24))
    assert name_of(Shuffled(4)) == (
        "expand+depthwise+project-input:8x8x16-output:8x8x24"
        "-expand.groups:4-expand.out:32-project.groups:4-project.act:none"
    )


def test_blocks_of_a_space_with_one_name_are_lowered_alike() -> None:
    space = spaces.build("cpu-small", resolution_px=32, classes=10)
    found: dict[str, str] = {}
    for seed in range(200):
        arch = space.decode(space.sample(seed))
        names = dict(block_names(arch.layers()))
        for part, _ in arch.block_parts():
            layers = repr(part.layers).replace(part.path, "")
            assert found.setdefault(names[part.path], layers) == layers
