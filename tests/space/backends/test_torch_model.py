import pytest
import torch
from torch import nn

from bneck.space.backends.torch_model import DepthwiseConv


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
