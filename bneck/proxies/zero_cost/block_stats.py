"""Statistics of single blocks, of features and gradients, which AZ-NAS reads.

Lee and Ham 2024, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad, pixel_unshuffle

from bneck.space.backends.torch_model import Network
from bneck.space.layers import Layer


@dataclass(frozen=True)
class BlockStats:
    """Statistics of one block."""

    entropy: float  # of the output's principal components, in nats (equations 2 and 3)
    gain: float  # spectral norm of the mean Jacobian of channels (equations 6 and 7)


def block_stats(
    network: Network, blocks: Sequence[tuple[Layer, ...]], x: Tensor, generator: torch.Generator
) -> tuple[BlockStats, ...]:
    """Run ``x`` through one block after the other, each with a graph of its own.

    Args:
        network: whose weights the layers have.
        blocks: the layers of each block, from the network's input on.
        x: (B, 3, side, side), the input of the first block.
        generator: draws the random signs that are backpropagated.
    """
    stats = []
    for layers in blocks:
        x = x.detach().requires_grad_()
        y = network.run(layers, x)
        stats.append(BlockStats(_entropy(y.detach()), _gain(x, y, generator)))
        x = y
    return tuple(stats)


def _entropy(features: Tensor) -> float:
    samples = _by_pixel(features)
    samples = samples - samples.mean(0)
    few = samples.shape[0] < samples.shape[1]
    # Either product has the eigenvalues above zero.
    products = samples @ samples.T if few else samples.T @ samples
    variances = torch.linalg.eigvalsh(products.double()).clamp_min(0)
    return float(torch.special.entr(variances / variances.sum()).sum())


def _gain(x: Tensor, y: Tensor, generator: torch.Generator) -> float:
    """Backpropagate random signs and regress the result on them, averaged over pixels."""
    signs = torch.randint(0, 2, y.shape, generator=generator).to(y.dtype) * 2 - 1
    (back,) = torch.autograd.grad(y, x, signs)
    jacobian = _by_pixel(_folded(back, y.shape[-1])).T @ _by_pixel(signs)
    jacobian = jacobian / (y.shape[0] * y.shape[-1] ** 2)
    if jacobian.shape[0] < jacobian.shape[1]:
        jacobian = jacobian.T
    return float(torch.linalg.eigvalsh(jacobian.T @ jacobian)[-1].clamp_min(0).sqrt())


def _folded(x: Tensor, side: int) -> Tensor:
    """(B, C, px, px) -> (B, C * s * s, side, side): the pixels of a stride become channels."""
    stride = -(-x.shape[-1] // side)
    missing = side * stride - x.shape[-1]
    return pixel_unshuffle(pad(x, (0, missing, 0, missing)), stride)


def _by_pixel(x: Tensor) -> Tensor:
    """(B, C, px, px) -> (B * px * px, C)"""
    return x.movedim(1, -1).flatten(0, -2)
