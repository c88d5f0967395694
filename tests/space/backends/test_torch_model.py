"""The torch module: what it computes, and how its weights begin."""

import pytest
import torch
from torch import nn

from bneck.space import presets
from bneck.space.backends.torch_model import DepthwiseConv, build


@pytest.mark.parametrize(
    ("side", "kernel", "stride"),
    [(1, 3, 1), (1, 7, 2), (2, 3, 1), (2, 7, 2), (3, 5, 2), (4, 5, 1), (4, 7, 2), (4, 3, 1)],
)
def test_depthwise_convolutions_on_tiny_maps_are_torchs(side: int, kernel: int, stride: int):
    ours = DepthwiseConv(8, 8, kernel, stride, kernel // 2, groups=8, bias=False).double()
    torchs = nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=8, bias=False).double()
    torchs.load_state_dict(ours.state_dict())
    x = torch.randn(5, 8, side, side, dtype=torch.float64, requires_grad=True)

    def run(module: nn.Module) -> tuple[torch.Tensor, ...]:
        y = module(x)
        return y, *torch.autograd.grad(y.sin().sum(), [x, module.weight])

    for mine, theirs in zip(run(ours), run(torchs), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_weights_begin_as_the_references_do() -> None:
    """He et al. 2015 by fan-out; a classifier of deviation 0.01; biases and norms of nothing."""
    arch = presets.build("mobilenet_v3_large", resolution_px=32, classes=100)
    network = build(arch)
    fans = {
        "head.conv": 960,
        "s6.b2.expand": 960,
        "s6.b2.project": 160,
        "s6.b2.depthwise": 25,  # 5 x 5, and each channel is its own
    }
    for path, fan_out in fans.items():
        weight = network.get_submodule(path).conv.weight
        assert float(weight.detach().std()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.03)
    for path in ("head.hidden", "head.classifier"):
        linear = network.get_submodule(path).linear
        assert float(linear.weight.detach().std()) == pytest.approx(0.01, rel=0.03)
        assert not linear.bias.any()
    assert not network.get_submodule("s6.b2.se.expand").conv.bias.any()
    assert bool((network.get_submodule("head.conv").norm.weight == 1).all())
