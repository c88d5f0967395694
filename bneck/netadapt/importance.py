"""First-order Taylor importance of channels (Molchanov et al. 2019, "Importance Estimation")."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bneck.machine import CPU, Compute
from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.device import computing
from bneck.proxies.training.strided_points import strided_points_subsampled
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model
from bneck.space.channels import writers
from bneck.space.layers import Conv, Linear

BATCHES, BATCH_SIZE = 8, 64


def taylor(
    arch: Architecture,
    state: Mapping[str, Tensor],
    images: ImageSource,
    *,
    seed: int,
    compute: Compute = CPU,
) -> dict[str, Tensor]:
    """Return by channel group (channels,): squared first-order change of the loss without each.

    A channel's gate is its batch norm, as in the paper's section 4: (g . w)^2 over the norm's scale
    and shift, or over weight and bias of a layer without one, summed over the layers that write the
    channel and over 8 batches of 64 training images.

    Args:
        arch: the network.
        state: its trained weights.
        images: whose training part the loss is taken on.
        seed: of the batches.
        compute: where the gradients are found.
    """
    network = torch_model.Network(arch)
    network.load_state_dict(dict(state))
    network.train()
    gates = [(_gate(network, layer), group) for layer, group in writers(arch.layers())]
    sums: dict[str, Tensor] = {}
    with computing(compute) as device, strided_points_subsampled(network):
        network.to(device).to(memory_format=torch.channels_last)
        batches = Batches(images, BATCH_SIZE, seed, device=device)
        for step in range(BATCHES):
            pixels, labels = batches[step]
            network.zero_grad()
            cross_entropy(network(pixels), labels).backward()
            for gate, group in gates:
                change = _change(gate).square().cpu()
                sums[group] = sums[group] + change if group in sums else change
    return sums


def _gate(network: nn.Module, layer: Conv | Linear) -> nn.Module:
    """The batch norm behind a layer, or the layer's own weight and bias where there is none."""
    if isinstance(layer, Linear):
        return network.get_submodule(f"{layer.path}.linear")
    return network.get_submodule(f"{layer.path}.{'conv' if layer.norm == 'none' else 'norm'}")


def _change(module: nn.Module) -> Tensor:
    """(channels,) gradient times value, summed over each channel's parameters."""
    parts = [
        (parameter.grad * parameter).detach().flatten(1 if parameter.ndim > 1 else 0)
        for parameter in module.parameters()
        if parameter.grad is not None
    ]
    return torch.stack([part.sum(1) if part.ndim > 1 else part for part in parts]).double().sum(0)
