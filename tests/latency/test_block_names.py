"""No two blocks that compute something else have one name in a published table."""

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


def test_blocks_of_a_space_with_one_name_are_lowered_alike() -> None:
    space = spaces.build("cpu-small", resolution_px=32, classes=10)
    found: dict[str, str] = {}
    for seed in range(200):
        arch = space.decode(space.sample(seed))
        names = dict(block_names(arch.layers()))
        for part, _ in arch.block_parts():
            layers = repr(part.layers).replace(part.path, "")
            assert found.setdefault(names[part.path], layers) == layers
