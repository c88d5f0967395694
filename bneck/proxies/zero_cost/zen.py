"""Zen-score: how sensitive the features are to a small change of the input."""

import math

import torch
from torch import nn

from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.passes import Passes
from bneck.space.backends.torch_model import ConvUnit
from bneck.space.layers import Layer, Residual, leaves

_STEP = 0.01


class Zen(ZeroCost):
    """log E|f(x) - f(x + 0.01 e)| + the sum of log std over the batch norms.

    Lin et al. 2021, "Zen-NAS", algorithm 1: f are the features before the pool, without residuals,
    x and e are Gaussian, and the batch norms are those before the pool. A batch norm's std (the
    root of its channels' mean variance) is that which standard normal weights would give: scaling
    a convolution's weights scales it alike.
    """

    @torch.no_grad()
    def score(self, passes: Passes) -> float:
        layers = _without_residuals(passes.before_pool)
        run = {leaf.path for leaf in leaves(layers)}
        units = [
            module
            for path, module in passes.network.named_modules()
            if isinstance(module, ConvUnit) and path in run
        ]
        norms = [(u.conv, u.norm) for u in units if isinstance(u.norm, nn.BatchNorm2d)]
        for _, norm in norms:
            norm.momentum = 1.0  # so that running_var is the last batch's
        x = passes.noise(1)
        features = passes.network.run(layers, x)
        scale = sum(
            math.log(norm.running_var.mean().item()) / 2 + _log_std_gain(conv)
            for conv, norm in norms
            if norm.running_var is not None
        )
        moved = passes.network.run(layers, x + _STEP * passes.noise(2))
        distance = torch.linalg.vector_norm((features - moved).flatten(1), dim=1).mean()
        return float(distance.log()) + scale


def _log_std_gain(conv: nn.Conv2d) -> float:
    """Return the log of standard normal weights' deviation over that of He's rule."""
    fan_out = conv.out_channels * conv.kernel_size[0] ** 2 / conv.groups
    return math.log(fan_out / 2) / 2


def _without_residuals(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    opened: list[Layer] = []
    for layer in layers:
        opened += layer.body if isinstance(layer, Residual) else (layer,)
    return tuple(opened)
