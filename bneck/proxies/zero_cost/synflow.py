"""SynFlow: how much can flow through the network, whatever the data."""

from copy import deepcopy

import torch
from torch import nn

from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.passes import Passes
from bneck.space.backends.torch_model import ConvUnit, LinearUnit, Network

_GATES = (nn.Sigmoid, nn.Hardsigmoid)


class Synflow(ZeroCost):
    """log of the sum of w dR/dw, with R the output of |weights| for an image of ones.

    Tanaka et al. 2020, "Pruning neural networks without any data", section 6, summed as Abdelfattah
    et al. 2021, section 3.2. Batch norms and activations are left out, but for gates. Between
    blocks the flow is scaled to a mean of 1, which the score makes up for, so it never overflows.
    """

    def score(self, passes: Passes) -> float:
        network = _positive(passes.network)
        flow = torch.ones(1, 3, passes.side_px, passes.side_px)
        log_scale = 0.0
        for layer in passes.arch.layers():
            flow = network.run((layer,), flow)
            mean = flow.detach().mean()
            flow = flow / mean
            log_scale += mean.log().item()
        weights = [w for w in network.parameters() if w.ndim > 1]
        gradients = torch.autograd.grad(flow.sum(), weights)
        flows = [(w.detach() * g).sum() for w, g in zip(weights, gradients, strict=True)]
        return torch.stack(flows).sum().log().item() + log_scale


def _positive(network: Network) -> Network:
    """Return a copy with positive weights and linear layers, except for gates."""
    copy = deepcopy(network)
    for module in copy.modules():
        if isinstance(module, ConvUnit):
            module.norm = nn.Identity()
        if isinstance(module, ConvUnit | LinearUnit) and not isinstance(module.activation, _GATES):
            module.activation = nn.Identity()
    for parameter in copy.parameters():
        parameter.data.abs_()
    return copy
