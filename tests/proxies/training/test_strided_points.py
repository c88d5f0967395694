"""Subsampled 1x1 convolutions are the strided ones."""

import pytest
import torch
from torch import Tensor, nn

from bneck.proxies.training.strided_points import strided_points_subsampled


def outcome(network: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """Outputs, and the gradients of a loss that weighs them all differently."""
    network.zero_grad()
    y = network(x)
    (y * torch.linspace(-1, 1, y.numel()).reshape(y.shape)).sum().backward()
    return (y.detach(), *(one.grad.clone() for one in network.parameters()))


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize("stride", [2, (1, 3)])
def test_a_subsampled_convolution_is_the_strided_one(side: int, stride: int | tuple[int, int]):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 5, 1, stride), nn.Conv2d(5, 4, 3, 2, 1)).double()
    x = torch.randn(2, 3, side, side, dtype=torch.float64)
    expected = outcome(network, x)
    with strided_points_subsampled(network):
        assert "forward" in vars(network[0])
        assert "forward" not in vars(network[1])
        found = outcome(network, x)
    assert "forward" not in vars(network[0])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_only_few_channels_without_groups_and_padding_are_subsampled():
    """Of those from 16 channels on, oneDNN's gradient keeps within its memory."""
    few, enough = nn.Conv2d(15, 4, 1, 2), nn.Conv2d(16, 4, 1, 2)
    others = nn.Conv2d(3, 3, 1, 2, groups=3), nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1, 2, padding=1)
    with strided_points_subsampled(nn.ModuleList([few, enough, *others])):
        assert "forward" in vars(few)
        assert not any("forward" in vars(one) for one in (enough, *others))


def test_a_network_that_begins_with_a_strided_1x1_convolution_trains():
    """As MobileOne-S0 does; with 128 images torch 2.14 aborts here without the block."""
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 48, 1, 2, bias=False).to(memory_format=torch.channels_last)
    x = torch.randn(16, 3, 84, 84).to(memory_format=torch.channels_last)
    own = layer.weight.detach().double()
    with strided_points_subsampled(layer):
        layer(x).square().sum().backward()
    plain = own.clone().requires_grad_()
    torch.nn.functional.conv2d(x.double(), plain, stride=2).square().sum().backward()
    torch.testing.assert_close(layer.weight.grad.double(), plain.grad, rtol=1e-4, atol=1e-3)
