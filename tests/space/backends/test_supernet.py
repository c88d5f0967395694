"""One set of weights for all networks of a space."""

import hashlib
from dataclasses import replace

import pytest
import torch

from bneck.errors import ProxyFailed
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.backends.parent import Parent
from bneck.space.backends.supernet import Supernet, _widest, extract, part
from bneck.space.backends.torch_model import build
from bneck.space.blocks import InvertedResidual, PlainConv
from bneck.space.choices import Space, Values
from bneck.space.heads import PoolLinear


@pytest.fixture(scope="module")
def space() -> Space:
    """The space whose networks are parts of one."""
    return spaces.build("v3-small", resolution_px=16, classes=10)


def test_largest_and_smallest_are_the_ends_of_the_space(space: Space) -> None:
    net = Supernet(space)
    # From the table of the space: widths 24, 32, 48, 64, 112, the last expansion 6 x 112.
    assert [stage[0].out for stage in net.largest.stages] == [24, 32, 48, 64, 112]
    assert [len(stage) for stage in net.largest.stages] == [1, 3, 4, 3, 4]
    assert [stage[0].out for stage in net.smallest.stages] == [8, 16, 32, 40, 80]
    assert net.s5.b4.depthwise.conv.weight.shape == (672, 1, 7, 7)


@pytest.mark.parametrize("name", ["v3-small", "cpu-small", "nas-bench-macro", "accel-nasbench"])
def test_every_network_of_a_space_is_a_part(name: str) -> None:
    space = spaces.build(name, resolution_px=16, classes=10)
    net = Supernet(space)
    for seed in range(3):
        arch = space.decode(space.sample(seed))
        alone = build(arch).state_dict()
        assert {n: t.shape for n, t in part(net.state_dict(), arch).items()} == {
            n: t.shape for n, t in alone.items()
        }


def test_parts_are_the_first_channels_and_the_middle_of_kernels(space: Space) -> None:
    net = Supernet(space)
    values = space.sample(0) | {"s1.width": 8, "s1.b1.kernel": 3, "s1.b1.ratio": 4}
    cut = part(net.state_dict(), space.decode(values))
    whole = net.s1.b1.depthwise.conv.weight
    assert torch.equal(cut["s1.b1.depthwise.conv.weight"], whole[:64, :, 2:5, 2:5])
    assert torch.equal(cut["s1.b1.project.conv.weight"], net.s1.b1.project.conv.weight[:8, :64])


def test_running_a_part_is_running_its_network_and_teaches_the_whole(space: Space) -> None:
    net = Supernet(space).double()  # norms of so few pixels enlarge the roundings of float32
    arch = space.decode(space.sample(3))
    pixels = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    alone = extract(net.state_dict(), arch).double().train()
    expected = alone(pixels)
    found = net.train().run(arch, pixels)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    gradient = net.head.conv.conv.weight.grad
    rows, columns = alone.get_submodule("head.conv").conv.weight.shape[:2]
    assert gradient[:rows, :columns].abs().sum() > 0
    assert gradient[rows:].abs().sum() + gradient[:, columns:].abs().sum() == 0


@pytest.mark.parametrize("name", ["v3-small", "cpu-small"])
def test_a_network_inherits_its_own_part_and_a_new_classifier(name: str) -> None:
    """Also layers that the largest network lacks, which it has itself."""
    space = spaces.build(name, resolution_px=16, classes=10)
    net = Supernet(space, seed=3)
    parent = Parent.of(net.largest, net.state_dict(), elastic=True)
    arch = space.decode(space.sample(1))
    whole = parent.weights_for(arch, seed=0)
    assert whole.share == 1
    own = part(net.state_dict(), arch)
    assert all(torch.equal(tensor, own[name]) for name, tensor in whole.state.items())
    other = parent.weights_for(arch.at(classes=7), seed=0)
    assert "head.classifier" not in other.paths
    assert all(torch.equal(other.state[n], own[n]) for n in own if "classifier" not in n)
    # batch norms of variance 1 compute the same with an epsilon of 1e-5 as with V3's of 1e-3
    scaled = parent.weights_for(replace(arch, norm="bn"), seed=0).state["stem.conv.norm.weight"]
    torch.testing.assert_close(scaled, own["stem.conv.norm.weight"] * (1.00001 / 1.001) ** 0.5)


def test_weights_do_not_depend_on_the_order_of_a_set() -> None:
    """Python orders sets of text anew in each process; layers draw their weights in turn."""

    def build_network(values: Values) -> Architecture:
        wide = values["kind"] == "wide"
        blocks = tuple(
            InvertedResidual(3, 64 if wide else 32, 16, se="expansion" if se else "none")
            for se in (values.get(f"b{b}.se", False) for b in range(1, 7))
        )
        return Architecture(PlainConv(3, 16), (blocks,), PoolLinear(), 10, 16)

    gates = {f"b{b}.se": (False, True) for b in range(1, 7)}
    parents = dict.fromkeys(gates, ("kind", ("gated",)))
    space = Space("own", {"kind": ("wide", "gated"), **gates}, build_network, parents)
    reduced = [leaf.path for leaf in _widest(space, {"kind": "wide"}) if ".se.r" in leaf.path]
    assert reduced == [f"s1.b{b}.se.reduce" for b in range(1, 7)]


def test_a_network_outside_the_space_inherits_the_first_channels(space: Space) -> None:
    net = Supernet(space)
    arch = presets.build("mobilenet_v3_large", resolution_px=16, classes=10)
    with pytest.raises(ProxyFailed, match=r"the shared weights hold no s\d"):
        part(net.state_dict(), arch)
    got = Parent.of(net.largest, net.state_dict(), elastic=True).weights_for(arch, seed=0)
    assert 0 < got.share < 1
    stem, shared = got.state["stem.conv.conv.weight"], net.stem.conv.conv.weight
    assert torch.equal(stem[: len(shared)], shared[: len(stem)])

    narrow = presets.build("mobilenet_v3_large", width=0.5, resolution_px=16, classes=10)
    got = Parent.of(net.largest, net.state_dict(), elastic=True).weights_for(narrow, seed=0)
    assert torch.equal(got.state["stem.conv.conv.weight"], shared[:8])  # whatever their norms


def test_only_weights_of_the_same_network_and_classes_are_inherited_as_they_are() -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=3)
    state = build(arch).state_dict()
    parent = Parent.of(arch, state)
    assert parent.is_like(arch)
    assert parent.is_like(arch.at(resolution_px=32))
    assert not parent.is_like(arch.at(classes=4))
    assert not Parent.of(arch, state, same_classes=False).is_like(arch)
    assert not Parent.of(arch, state, elastic=True).is_like(arch)


def test_inherited_weights_are_told_apart_by_their_digest() -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=3)
    parent = Parent.of(arch, build(arch, seed=1).state_dict())
    assert parent.digest == hashlib.sha256(parent.tensors).hexdigest()[:12]
    assert parent.digest != Parent.of(arch, build(arch, seed=2).state_dict()).digest
