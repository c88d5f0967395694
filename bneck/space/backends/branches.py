"""Training with parallel branches that fold into one convolution, exactly.

As in RepVGG (Ding et al. 2021) and MobileOne (Vasu et al. 2023), a convolution is trained as the
sum of itself, a 1x1 convolution and the identity, each with a batch norm of its own. All of these
are linear once trained, so the network that is exported and timed is the plain one.
"""

import math
import random

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model
from bneck.space.backends.torch_model import ConvUnit, Network, attach
from bneck.space.backends.weights import State
from bneck.space.layers import NORMS, Conv, leaves


class BranchedUnit(ConvUnit):
    """(N, in, px, px) -> (N, out, px / stride, px / stride): the sum of two or three branches.

    The first has the names of the plain unit's tensors. The identity is there where it fits.
    """

    def __init__(self, layer: Conv) -> None:
        super().__init__(layer)
        eps = NORMS[layer.norm]
        self.point = nn.Conv2d(
            layer.in_channels, layer.out_channels, 1, layer.stride, groups=layer.groups, bias=False
        )
        self.point_norm = nn.BatchNorm2d(layer.out_channels, eps=eps)
        fits = layer.stride == 1 and layer.in_channels == layer.out_channels
        self.identity_norm = nn.BatchNorm2d(layer.out_channels, eps=eps) if fits else None

    def forward(self, x: Tensor) -> Tensor:
        total = self.norm(self.conv(x)) + self.point_norm(self.point(x))
        if self.identity_norm is not None:
            total = total + self.identity_norm(x)
        y: Tensor = self.activation(total)
        return y

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return weight (out, in / groups, k, k) and bias (out,) of the one convolution."""
        assert isinstance(self.norm, nn.BatchNorm2d)
        weight, bias = _scaled(self.conv.weight, self.norm)
        margin = [self.conv.kernel_size[0] // 2] * 4
        more, shift = _scaled(self.point.weight, self.point_norm)
        weight, bias = weight + pad(more, margin), bias + shift
        if self.identity_norm is not None:
            more, shift = _scaled(_identity(self.point.weight), self.identity_norm)
            weight, bias = weight + pad(more, margin), bias + shift
        return weight, bias


def branched(arch: Architecture, *, seed: int, start: State | None = None) -> Network:
    """Return a network to train whose depthwise and pointwise convolutions have branches.

    Args:
        arch: the network.
        seed: of the weights; the plain part begins as ``torch_model.build`` begins it.
        start: weights of ``arch`` to begin with; the other branches then begin at zero.
    """
    plain = torch_model.build(arch, seed=seed).state_dict() if start is None else start
    # of the seed itself they would be the plain part's own weights, a few layers on
    draw = random.Random(f"branches {seed}").getrandbits(63)
    generator = torch.Generator().manual_seed(draw)
    with torch.random.fork_rng(devices=[]):
        network = Network(arch)
        for leaf in leaves(arch.layers()):
            if isinstance(leaf, Conv) and _branches(leaf):
                attach(network, leaf.path, BranchedUnit(leaf))
    network.load_state_dict(plain, strict=False)
    with torch.no_grad():
        for unit in network.modules():
            if isinstance(unit, BranchedUnit):
                fan_out = unit.point.out_channels / unit.point.groups
                unit.point.weight.normal_(0.0, math.sqrt(2.0 / fan_out), generator=generator)
                if start is not None:
                    unit.point_norm.weight.zero_()
                    if unit.identity_norm is not None:
                        unit.identity_norm.weight.zero_()
    return network


def fold(network: Network) -> State:
    """Return the state of the plain network that computes what a branched one does in evaluation.

    The batch norms of folded convolutions are identities with a shift: their statistics are no
    longer those of the images, which further training notices and evaluation does not.
    """
    wanted = torch_model.empty_state(network.architecture)
    state = {name: tensor for name, tensor in network.state_dict().items() if name in wanted}
    for path, unit in network.named_modules():
        if not isinstance(unit, BranchedUnit):
            continue
        with torch.no_grad():
            weight, bias = unit.folded()
        assert isinstance(unit.norm, nn.BatchNorm2d)
        norm = f"{path}.norm"
        state |= {
            f"{path}.conv.weight": weight.to(unit.conv.weight.dtype),
            f"{norm}.weight": torch.full_like(
                unit.norm.weight, math.sqrt(1 + unit.norm.eps)
            ).detach(),
            f"{norm}.bias": bias.to(unit.norm.bias.dtype),
            f"{norm}.running_mean": torch.zeros_like(bias, dtype=unit.norm.bias.dtype),
            f"{norm}.running_var": torch.ones_like(bias, dtype=unit.norm.bias.dtype),
        }
    return state


def _branches(leaf: Conv) -> bool:
    """Whether a convolution gets branches: depthwise and pointwise ones with a batch norm."""
    return leaf.norm != "none" and (leaf.depthwise or (leaf.kernel == 1 and leaf.groups == 1))


def _scaled(weight: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias with the norm's statistics folded in, in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    shift = norm.bias.double() - norm.running_mean.double() * factor
    return weight.double() * factor[:, None, None, None], shift


def _identity(like: Tensor) -> Tensor:
    """The 1x1 weight (out, in / groups, 1, 1) that returns its input."""
    weight = torch.zeros_like(like)
    if like.shape[1] == 1:
        return weight.fill_(1.0)
    weight[:, :, 0, 0] = torch.eye(len(like), dtype=like.dtype, device=like.device)
    return weight
