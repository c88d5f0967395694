"""Weights for any candidate: what is added changes nothing, to 1e-5; the rest is the parent's."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model, weights
from bneck.space.backends.remapping import remap
from bneck.space.blocks import Identity, InvertedResidual, PlainConv, UniversalBottleneck
from bneck.space.cost import cost
from bneck.space.edits import widen
from bneck.space.heads import ConvPoolLinear, PoolLinear
from bneck.space.layers import Layer, Pool, Residual, Scale, depthwise, leaves, pointwise
from tests.space.backends.test_inheritance import output, trained

ARCH = presets.build("mobilenet_v3_small", width=0.5, resolution_px=32, classes=10)


def changed(stage: int, block: int, **fields: object) -> Architecture:
    stages = [list(blocks) for blocks in ARCH.stages]
    stages[stage - 1][block - 1] = replace(stages[stage - 1][block - 1], **fields)
    return replace(ARCH, stages=tuple(tuple(blocks) for blocks in stages))


def deeper(arch: Architecture, stage: int, block: object) -> Architecture:
    stages = list(arch.stages)
    stages[stage - 1] = (*stages[stage - 1], block)
    return replace(arch, stages=tuple(stages))


ADDITIONS = {
    "a larger kernel": changed(3, 2, kernel=7),
    "squeeze-excite": changed(2, 2, se="expansion"),
    "squeeze-excite with a sigmoid": changed(2, 2, se="input", gate="sigmoid"),
    "a block like the last": deeper(ARCH, 3, ARCH.stages[2][-1]),
    "a block of another expansion and kernel": deeper(
        ARCH, 5, InvertedResidual(3, 144, 48, se="expansion", activation="hswish")
    ),
    "two blocks after a strided one": deeper(
        deeper(ARCH, 1, InvertedResidual(3, 24, 8)), 1, InvertedResidual(5, 16, 8)
    ),
    "a block of another kind": deeper(ARCH, 4, UniversalBottleneck(5, 3, 48, 24)),
    "another epsilon": replace(ARCH, norm="bn"),
    "another side": ARCH,
    "a wider expansion": widen(ARCH, "s3.b2.expand", 160),
    "a wider bottleneck": widen(ARCH, "s3-4.bottleneck", 40),
    "a wider head": widen(widen(ARCH, "head.conv", 400), "head.hidden", 600),
}


@pytest.mark.parametrize("what", ADDITIONS)
def test_what_is_added_changes_nothing(what: str) -> None:
    parent = trained(ARCH).state_dict()
    target = ADDITIONS[what]
    before, after = output(ARCH, parent), output(target, remap(ARCH, parent, target, seed=5).state)
    scale = float(before.abs().max())
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5 * scale)


def test_a_depthwise_convolution_before_the_expansion_begins_as_the_identity() -> None:
    def network(start: int) -> Architecture:
        block = UniversalBottleneck(start, 3, 64, 24)
        stages = ((UniversalBottleneck(0, 5, 48, 24, 2), block), (replace(block, out=40),))
        return Architecture(PlainConv(3, 16), stages, ConvPoolLinear(64), 10, 32)

    parent = trained(network(0)).state_dict()
    target = network(5)
    after = output(target, remap(network(0), parent, target, seed=5).state)
    before = output(network(0), parent)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5 * float(before.abs().max()))


def test_a_block_where_there_was_none_begins_as_none() -> None:
    def network(block: object) -> Architecture:
        stages = ((InvertedResidual(3, 48, 24, 2), block),)
        return Architecture(PlainConv(3, 16), stages, PoolLinear(), 10, 32)

    parent, target = network(Identity(24)), network(InvertedResidual(5, 72, 24))
    state = trained(parent).state_dict()
    after = output(target, remap(parent, state, target, seed=5).state)
    torch.testing.assert_close(after, output(parent, state), rtol=1e-5, atol=1e-5)


def test_an_added_block_has_the_nearest_blocks_weights_and_can_learn() -> None:
    parent = trained(ARCH).state_dict()
    target = deeper(deeper(ARCH, 3, ARCH.stages[2][-1]), 3, ARCH.stages[2][-1])
    got = remap(ARCH, parent, target, seed=5).state
    for added in ("s3.b4", "s3.b5"):
        for name in ("expand.conv.weight", "depthwise.norm.running_var", "se.reduce.conv.bias"):
            assert torch.equal(got[f"{added}.{name}"], parent[f"s3.b3.{name}"])
        assert not got[f"{added}.project.norm.weight"].any()
        assert got[f"{added}.project.conv.weight"].any()
    network = torch_model.Network(target)
    network.load_state_dict(got)
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    network(images).square().sum().backward()
    for added in ("s3.b4", "s3.b5"):
        gradient = network.get_parameter(f"{added}.project.norm.weight").grad
        assert isinstance(gradient, Tensor)
        assert gradient.any()


@pytest.mark.parametrize(
    ("what", "gate", "opened"),
    [
        ("squeeze-excite", torch.nn.functional.hardsigmoid, 5 / 6),
        ("squeeze-excite with a sigmoid", torch.sigmoid, 0.8808),
    ],
)
def test_a_new_gate_is_open_where_its_slope_is_not_zero(
    what: str, gate: Callable[[Tensor], Tensor], opened: float
) -> None:
    state = remap(ARCH, trained(ARCH).state_dict(), ADDITIONS[what], seed=5).state
    bias = state["s2.b2.se.expand.conv.bias"]
    assert gate(bias).tolist() == pytest.approx([opened] * len(bias), abs=1e-4)


def test_a_new_gate_can_learn() -> None:
    target = ADDITIONS["squeeze-excite"]
    network = torch_model.Network(target)
    network.load_state_dict(remap(ARCH, trained(ARCH).state_dict(), target, seed=5).state)
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    network(images).square().sum().backward()
    gradient = network.get_parameter("s2.b2.se.expand.conv.weight").grad
    assert isinstance(gradient, Tensor)
    assert gradient.any()


def test_all_of_the_same_network_is_inherited() -> None:
    parent = trained(ARCH).state_dict()
    got = remap(ARCH, parent, ARCH, seed=5)
    assert got.share == 1.0
    assert all(torch.equal(got.state[name], tensor) for name, tensor in parent.items())
    weighted = [leaf.path for leaf in leaves(ARCH.layers()) if not isinstance(leaf, Pool)]
    assert list(got.paths) == weighted


def test_what_surrounds_a_small_kernel_is_not_inherited() -> None:
    """A 7x7 kernel has 9 weights of the 3x3 one in its middle."""
    was = ARCH.stages[1][1]
    assert was.kernel == 3
    target = changed(2, 2, kernel=7)
    got = remap(ARCH, trained(ARCH).state_dict(), target, seed=5)
    assert got.share == pytest.approx(1 - was.expansion * (49 - 9) / cost(target).params)
    assert "s2.b2.depthwise" in got.paths


def test_the_random_weights_of_an_added_block_are_not_inherited() -> None:
    """The last block works at the 16 channels that it reads; the new one expands 24 to as many."""
    first = InvertedResidual(3, 16, 24, 2)

    def network(*blocks: InvertedResidual) -> Architecture:
        return Architecture(PlainConv(3, 16), (blocks,), PoolLinear(), 10, 32)

    parent, target = network(first), network(first, InvertedResidual(3, 16, 24))
    got = remap(parent, trained(parent).state_dict(), target, seed=5)
    assert [path for path in got.paths if path.startswith("s1.b2")] == [
        "s1.b2.depthwise",
        "s1.b2.project",
    ]
    own = 24 * 16 + 2 * 16  # the expansion and its batch norm
    assert got.share == pytest.approx(1 - own / cost(target).params)


def test_another_number_of_classes_has_a_classifier_of_its_own() -> None:
    parent = trained(ARCH).state_dict()
    target = ARCH.at(classes=7)
    got = remap(ARCH, parent, target, seed=5)
    assert "head.classifier" not in got.paths
    fresh = torch_model.build(target, seed=5).state_dict()
    for part in ("weight", "bias"):
        name = f"head.classifier.linear.{part}"
        assert torch.equal(got.state[name], fresh[name])
    assert torch.equal(got.state["head.hidden.linear.weight"], parent["head.hidden.linear.weight"])
    as_many = remap(ARCH, parent, ARCH, seed=5, same_classes=False)
    assert "head.classifier" not in as_many.paths
    own = sum(t.numel() for name, t in fresh.items() if name.startswith("head.classifier."))
    assert got.share == pytest.approx(1 - own / cost(target).params)


@pytest.mark.parametrize("name", spaces.SPACES)
def test_every_network_of_a_space_has_weights_that_fit(name: str) -> None:
    space = spaces.build(name, resolution_px=32, classes=10)
    parent = space.decode(space.sample(0))
    state = trained(parent).state_dict()
    for seed in range(1, 6):
        target = space.decode(space.sample(seed))
        got = remap(parent, state, target, seed=5)
        weights.fitted(got.state, target, name)
        assert 0 < got.share <= 1
        assert torch.isfinite(output(target, got.state)).all()


def test_only_what_has_the_same_paths_is_inherited() -> None:
    one = Architecture(PlainConv(3, 16), ((PlainConv(3, 24),),), PoolLinear(), 10, 32)
    other = presets.build("mobilenet_v2", resolution_px=32, classes=7)
    assert remap(one, trained(one).state_dict(), other, seed=0).paths == ("stem.conv",)


@dataclass(frozen=True, slots=True)
class Twice:
    """A block of one's own that adds to its input twice."""

    out: int
    stride: int = 1

    def lower(self, path: str, in_channels: int, in_px: int, norm: str) -> tuple[Layer, ...]:
        names = (f"{path}.first", f"{path}.second")
        return tuple(
            Residual(name, (pointwise(f"{name}.conv", in_channels, self.out, in_px, "none", norm),))
            for name in names
        )


@dataclass(frozen=True, slots=True)
class Gated:
    """A block of one's own: its gate has a batch norm, the filters before the expansion none."""

    out: int
    gated: bool
    stride: int = 1

    def lower(self, path: str, in_channels: int, in_px: int, norm: str) -> tuple[Layer, ...]:
        filters = depthwise(f"{path}.filter", in_channels, 3, 1, in_px, "none", "none")
        wide = pointwise(f"{path}.expand", in_channels, 64, in_px, "relu", norm)
        gate = (
            Pool(f"{path}.gate.pool", 64, in_px),
            pointwise(f"{path}.gate.conv", 64, 64, 1, "hsigmoid", norm),
        )
        narrow = pointwise(f"{path}.project", 64, self.out, in_px, "none", norm)
        if not self.gated:
            return (wide, narrow)
        return (filters, wide, Scale(f"{path}.gate", gate), narrow)


def test_blocks_of_ones_own_add_nothing_at_first_either() -> None:
    def network(*blocks: object, gated: bool) -> Architecture:
        stages = ((InvertedResidual(3, 48, 24, 2), *blocks), (Gated(40, gated),))
        return Architecture(PlainConv(3, 16), stages, ConvPoolLinear(64), 10, 32)

    source, target = network(gated=False), network(Twice(24), gated=True)
    parent = trained(source).state_dict()
    after = output(target, remap(source, parent, target, seed=5).state)
    before = output(source, parent)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5 * float(before.abs().max()))
