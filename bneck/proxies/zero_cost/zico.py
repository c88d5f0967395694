"""ZiCo: gradients that are large and agree from batch to batch."""

import math

import torch

from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.passes import Passes


class Zico(ZeroCost):
    """The sum over layers of log(sum over weights of mean |gradient| / std |gradient|).

    Li et al. 2023, "ZiCo", equation 12, over two batches. Weights whose gradient does not change
    and layers without any that does are left out, as in the reference.
    """

    needs_images = True

    def score(self, passes: Passes) -> float:
        layers = []
        for first, second in zip(*passes.gradients, strict=True):
            a, b = first.abs(), second.abs()
            spread = (a - b).abs()  # twice the std of two numbers
            ratios = torch.where(spread > 0, (a + b) / spread, 0)
            layers.append(ratios.sum().log().item())
        changing = [layer for layer in layers if layer > -math.inf]
        return sum(changing) if changing else math.nan
