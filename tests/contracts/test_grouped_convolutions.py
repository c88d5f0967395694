"""Every reader takes a block of one's own with grouped convolutions, which no block here has."""

from dataclasses import dataclass

import pytest
import torch

from bneck.errors import UsageError
from bneck.latency.features import Blocking, features, kernels, label, weights
from bneck.latency.runtimes.macs import MacsRuntime
from bneck.netadapt.proposals import ProposalGenerator
from bneck.space.architecture import Architecture
from bneck.space.backends import inheritance, torch_model
from bneck.space.blocks import PlainConv
from bneck.space.edits import narrow
from bneck.space.heads import PoolLinear
from bneck.space.layers import Conv, Layer, pointwise
from tests.contracts.backends_agree import check_backends_agree


@dataclass(frozen=True, slots=True)
class Grouped:
    """1x1 expansion, 3x3 convolution in groups, 1x1 projection."""

    expansion: int
    out: int
    groups: int = 4
    stride: int = 1

    def lower(self, path: str, in_channels: int, in_px: int, norm: str) -> tuple[Layer, ...]:
        width, groups, stride = self.expansion, self.groups, self.stride
        grouped = Conv(f"{path}.grouped", width, width, 3, stride, groups, in_px, "relu", norm)
        return (
            pointwise(f"{path}.expand", in_channels, width, in_px, "relu", norm),
            grouped,
            pointwise(f"{path}.project", width, self.out, grouped.out_px, "none", norm),
        )


def network(*blocks: Grouped) -> Architecture:
    return Architecture(PlainConv(3, 16, 2), (blocks,), PoolLinear(), 10, 32)


ARCH = network(Grouped(32, 24, stride=2), Grouped(48, 24))


def test_backends_agree() -> None:
    check_backends_agree(ARCH)


def test_all_of_the_same_network_is_inherited() -> None:
    state = torch_model.build(ARCH, seed=1).state_dict()
    got = inheritance.inherit(ARCH, state, ARCH, seed=2)
    assert all(torch.equal(got[name], tensor) for name, tensor in state.items())


def test_one_that_loses_channels_begins_anew_and_the_others_are_inherited() -> None:
    """Which channels stay is told by their norms, and would mix the groups."""
    state = torch_model.build(ARCH, seed=1).state_dict()
    narrower = narrow(ARCH, "s1.b2.expand", 40)
    got = inheritance.inherit(ARCH, state, narrower, seed=2)
    fresh = torch_model.build(narrower, seed=2).state_dict()
    assert torch.equal(got["s1.b2.grouped.conv.weight"], fresh["s1.b2.grouped.conv.weight"])
    assert torch.equal(got["s1.b1.grouped.conv.weight"], state["s1.b1.grouped.conv.weight"])
    assert torch.isin(got["s1.b2.expand.conv.weight"], state["s1.b2.expand.conv.weight"]).all()
    assert torch.isin(got["s1.b2.project.conv.weight"], state["s1.b2.project.conv.weight"]).all()


def test_the_latency_model_tells_them_from_others_by_their_multiply_adds() -> None:
    blocking = Blocking(1, 1)

    def kernel(groups: int) -> tuple:
        layer = Conv("s1.b1.grouped", 32, 32, 3, 1, groups, 16, "relu", "bn")
        ((_, found),) = kernels((layer,))
        return found

    plain, four, eight = kernel(1), kernel(4), kernel(8)
    macs = 32 * 32 * 9 * 16 * 16 / 1e6
    assert features(plain, blocking)["conv 3x3/1 macs"] == pytest.approx(macs)
    assert features(four, blocking)["grouped conv 3x3/1 macs"] == pytest.approx(macs / 4)
    assert features(eight, blocking).keys() == features(four, blocking).keys()
    assert "conv" not in features(four, blocking)
    assert weights(eight, blocking) == pytest.approx(32 * 32 * 9 / 8 / 1e3)
    assert label(four) == "4-group conv 3x3/1 on 16 px, relu"


def test_channels_that_do_not_divide_into_the_groups_are_refused_and_not_proposed() -> None:
    with pytest.raises(UsageError, match=r"s1\.b2\.grouped: 44 to 44 channels do not divide into"):
        network(Grouped(32, 24), Grouped(44, 24, groups=8)).layers()
    arch = network(Grouped(32, 24), Grouped(48, 24, groups=16))
    model = MacsRuntime()
    needed_ms = 0.01 * model.predict(arch).ms
    moves = [one.move for one in ProposalGenerator(model).proposals(arch, needed_ms)]
    assert "s1.b1.expand 32->24" in moves
    assert "s1.b2.expand 48->32" in moves  # 40 are not 16 groups
