"""Branches that train beside a convolution fold into it exactly."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from bneck.space import presets
from bneck.space.backends import torch_model, weights
from bneck.space.backends.branches import BranchedUnit, branched, fold

IMAGES = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "name", ["mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v4_conv_small"]
)
def test_the_plain_network_computes_the_same_after_some_steps(name: str) -> None:
    arch = presets.build(name, width=0.5, resolution_px=32, classes=10)
    network, images = branched(arch, seed=1).double(), IMAGES.double()
    optimizer = torch.optim.SGD(network.parameters(), 0.05)
    for step in range(4):
        optimizer.zero_grad()
        cross_entropy(network(images), torch.arange(8) * (step + 1) % 10).backward()
        optimizer.step()
    state = fold(network)
    weights.fitted(state, arch, name)
    plain = torch_model.Network(arch).double()
    plain.load_state_dict(state)
    with torch.no_grad():
        expected = network.eval()(images)
        got = plain.eval()(images)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


def test_every_depthwise_and_pointwise_convolution_has_them() -> None:
    arch = presets.build("mobilenet_v3_small", resolution_px=32, classes=10)
    units = {
        path: unit
        for path, unit in branched(arch, seed=1).named_modules()
        if isinstance(unit, BranchedUnit)
    }
    convs = [
        f"s{s}.b{b}" for s, stage in enumerate(arch.stages, 1) for b in range(1, len(stage) + 1)
    ]
    expected = {f"{path}.{name}" for path in convs for name in ("expand", "depthwise", "project")}
    # the first block has no expansion; the stem is a plain 3x3 convolution
    assert units.keys() == expected - {"s1.b1.expand"} | {"head.conv"}
    assert units["s2.b2.depthwise"].identity_norm is not None
    assert units["s2.b1.depthwise"].identity_norm is None  # stride 2


def test_from_given_weights_they_begin_at_nothing_and_learn() -> None:
    arch = presets.build("mobilenet_v3_small", width=0.5, resolution_px=32, classes=10)
    start = torch_model.build(arch, seed=3).state_dict()
    network = branched(arch, seed=1, start=start).eval()
    plain = torch_model.Network(arch)
    plain.load_state_dict(start)
    with torch.no_grad():
        torch.testing.assert_close(network(IMAGES), plain.eval()(IMAGES), rtol=1e-5, atol=1e-6)
    for unit in network.modules():
        if isinstance(unit, BranchedUnit):
            assert not unit.point_norm.weight.any()
    network.train()(IMAGES).square().sum().backward()
    gradient = network.get_submodule("s3.b2.depthwise.point_norm").weight.grad
    assert gradient.any()


def test_the_plain_part_begins_as_without_branches() -> None:
    arch = presets.build("mobilenet_v3_small", width=0.5, resolution_px=32, classes=10)
    plain = torch_model.build(arch, seed=1).state_dict()
    state = branched(arch, seed=1).state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in plain.items())


def test_branches_begin_as_he_says_by_fan_out() -> None:
    arch = presets.build("mobilenet_v3_large", resolution_px=32, classes=10)
    network = branched(arch, seed=1)
    for path, fan_out in (("head.conv", 960), ("s6.b2.project", 160), ("s6.b2.depthwise", 1)):
        weight = network.get_submodule(path).point.weight
        assert float(weight.detach().std()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)


def test_branches_begin_with_other_random_numbers_than_the_plain_part() -> None:
    """Of one seed they were the stem's weights, then those of the layers that follow."""
    arch = presets.build("mobilenet_v2", width=0.5, resolution_px=32, classes=10)
    network = branched(arch, seed=1)
    convs = [one for one in network.modules() if isinstance(one, torch.nn.Conv2d)]
    points = [unit.point for unit in network.modules() if isinstance(unit, BranchedUnit)]
    plain = [one for one in convs if one not in points]
    of_plain, of_points = (
        torch.cat([(one.weight / one.weight.std()).detach().flatten() for one in chosen])[:4000]
        for chosen in (plain, points)
    )
    alike = max(
        float(torch.corrcoef(torch.stack([of_plain[shift:], of_points[: 4000 - shift]]))[0, 1])
        for shift in range(2000)
    )
    assert alike < 0.2
