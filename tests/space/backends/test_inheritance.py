"""Weights inherited by path: exact where widths agree, the strongest channels where they shrink."""

import re
from dataclasses import replace

import pytest
import torch

from bneck.space import edits, presets
from bneck.space.architecture import Architecture
from bneck.space.backends import inheritance, torch_model
from bneck.space.channels import channel_groups

ARCH = presets.build("mobilenet_v3_small", width=0.5, resolution_px=32, classes=10)


def trained(arch: Architecture, seed: int = 0) -> torch_model.Network:
    """A network whose batch norms have seen something."""
    network = torch_model.build(arch, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.data.uniform_(0.5, 2, generator=generator)
    return network.eval()


def output(arch: Architecture, state: dict) -> torch.Tensor:
    network = torch_model.Network(arch)
    network.load_state_dict(state)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return network.eval()(x)


def test_the_same_architecture_inherits_everything() -> None:
    state = trained(ARCH).state_dict()
    inherited = inheritance.inherit(ARCH, state, ARCH, seed=5)
    assert inherited.keys() == state.keys()
    assert all(torch.equal(inherited[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("what", [item.what for item in edits.narrowables(ARCH)])
def test_dropping_channels_that_do_nothing_keeps_the_outputs(what: str) -> None:
    """Channels of zero norm, whose removal a network cannot notice, are the ones that go.

    Every writer of the group gets all-zero filters and shifts for half of its channels, scattered,
    so whatever reads them reads zeros, and exact equality shows that rows, columns, batch norms,
    depthwise kernels and squeeze-excites were cut along the same channels.
    """
    item = next(item for item in edits.narrowables(ARCH) if item.what == what)
    narrower = edits.narrow(ARCH, what, item.width // 2)
    network = trained(ARCH)
    groups = channel_groups(ARCH.layers())
    if what.endswith(".bottleneck"):
        group = groups[f"{re.split('[-.]', what)[0]}.b1.project"].writes
    else:
        group = groups[what].writes
    dead = torch.randperm(item.width, generator=torch.Generator().manual_seed(2))
    dead = dead[: item.width - item.width // 2]
    for path, ends in groups.items():
        if ends.writes != group or path.endswith(".se.expand"):
            continue
        unit = network.get_submodule(path)
        if isinstance(unit, torch_model.ConvUnit):
            tensors = unit.conv.weight, unit.norm.bias, unit.norm.running_mean
        else:
            tensors = unit.linear.weight, unit.linear.bias
        for tensor in tensors:
            tensor.data[dead] = 0.0
    for unit in network.modules():  # a squeeze-excite narrows with its expansion
        if isinstance(unit, torch_model.ConvUnit) and unit.conv.bias is not None:
            unit.conv.weight.data.zero_()
    state = network.state_dict()
    before = output(ARCH, state)
    after = output(narrower, inheritance.inherit(ARCH, state, narrower, seed=5))
    assert torch.allclose(before, after, rtol=0, atol=1e-5 * float(before.abs().max()))


@pytest.mark.parametrize("what", [item.what for item in edits.narrowables(ARCH)])
def test_new_channels_change_nothing_until_they_are_trained(what: str) -> None:
    """And they can be trained: what reads them has a gradient, what writes them is not zero."""
    item = next(item for item in edits.narrowables(ARCH) if item.what == what)
    wider = edits.widen(ARCH, what, item.width + 16)
    state = trained(ARCH).state_dict()
    before = output(ARCH, state)
    inherited = inheritance.inherit(ARCH, state, wider, seed=5)
    after = output(wider, inherited)
    assert torch.allclose(before, after, rtol=0, atol=1e-5 * float(before.abs().max()))
    network = torch_model.Network(wider)
    network.load_state_dict(inherited)
    network(torch.randn(4, 3, 32, 32)).square().sum().backward()
    if what.endswith(".expand"):
        weight = network.get_submodule(what.replace("expand", "project")).conv.weight
        assert not weight[:, item.width :].any()
        assert weight.grad[:, item.width :].any()


def test_the_filters_of_largest_l2_norm_stay_in_order() -> None:
    network = trained(ARCH)
    filters = network.get_submodule("s5.b2.expand").conv.weight.data
    norms = filters.flatten(1).norm(dim=1)
    width = len(norms) // 3
    narrower = edits.narrow(ARCH, "s5.b2.expand", width)
    inherited = inheritance.inherit(ARCH, network.state_dict(), narrower, seed=0)
    strongest = sorted(norms.argsort(descending=True)[:width].tolist())
    assert torch.equal(inherited["s5.b2.expand.conv.weight"], filters[strongest])


def test_channels_that_several_layers_write_are_as_strong_as_all_of_their_filters() -> None:
    state = trained(ARCH).state_dict()
    writers = [f"s5.b{block}.project" for block in (1, 2, 3)]
    group = channel_groups(ARCH.layers())[writers[0]].writes
    squares = [state[f"{path}.conv.weight"].double().square().sum((1, 2, 3)) for path in writers]
    torch.testing.assert_close(inheritance.squared_norms(ARCH, state)[group], sum(squares))


def test_smaller_kernels_are_the_middle_of_larger_ones() -> None:
    network = trained(ARCH)
    last = ARCH.stages[-1]
    smaller = replace(ARCH, stages=(*ARCH.stages[:-1], (replace(last[0], kernel=3), *last[1:])))
    inherited = inheritance.inherit(ARCH, network.state_dict(), smaller, seed=0)
    name = "s5.b1.depthwise.conv.weight"
    assert torch.equal(inherited[name], network.state_dict()[name][:, :, 1:4, 1:4])


def test_new_blocks_are_fresh_and_seeded() -> None:
    state = trained(ARCH).state_dict()
    deeper = replace(ARCH, stages=(*ARCH.stages[:-1], (*ARCH.stages[-1], ARCH.stages[-1][-1])))
    one = inheritance.inherit(ARCH, state, deeper, seed=7)
    two = inheritance.inherit(ARCH, state, deeper, seed=7)
    name = "s5.b4.expand.conv.weight"
    assert torch.equal(one[name], two[name])
    assert torch.equal(one["s5.b3.expand.conv.weight"], state["s5.b3.expand.conv.weight"])
    assert one[name].std() > 0
