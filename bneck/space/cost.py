"""Cost of a network, counted from its lowering. One multiply-add counts as one."""

from dataclasses import dataclass
from functools import lru_cache
from math import prod

from bneck.space.architecture import Architecture, Part
from bneck.space.layers import Conv, Layer, Leaf, Linear, Pool, input_shape, leaves, output_shape

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Cost:
    """Trainable parameters, multiply-adds and the largest set of activations alive at once.

    All for one image in float32, where each residual is added in place.
    """

    params: int
    macs: int
    peak_activation_bytes: int


def cost(arch: Architecture) -> Cost:
    """Count a whole network. Batch norm counts two parameters per channel and no multiply-adds."""
    counted = [part_cost(part) for part in arch.parts()]
    return Cost(
        params=sum(one.params for one in counted),
        macs=sum(one.macs for one in counted),
        peak_activation_bytes=max(one.peak_activation_bytes for one in counted),
    )


@lru_cache(maxsize=65536)
def part_cost(part: Part) -> Cost:
    """Count a stem, a block or a head at its place in a network."""
    own = list(leaves(part.layers))
    return Cost(
        params=sum(leaf_params(leaf) for leaf in own),
        macs=sum(leaf_macs(leaf) for leaf in own),
        peak_activation_bytes=FLOAT_BYTES * _peak(part.layers, held=0),
    )


def leaf_params(leaf: Leaf) -> int:
    """Trainable parameters of one primitive, batch norm or bias included."""
    if isinstance(leaf, Conv):
        kernels = leaf.out_channels * (leaf.in_channels // leaf.groups) * leaf.kernel**2
        return kernels + (1 if leaf.bias else 2) * leaf.out_channels
    if isinstance(leaf, Linear):
        return (leaf.in_features + 1) * leaf.out_features
    return 0


def leaf_macs(leaf: Leaf) -> int:
    """Multiply-adds of one primitive, V1's equation 3 and 5; pools and activations count none."""
    if isinstance(leaf, Conv):
        per_pixel = leaf.out_channels * (leaf.in_channels // leaf.groups) * leaf.kernel**2
        return per_pixel * leaf.out_px**2
    if isinstance(leaf, Linear):
        return leaf.in_features * leaf.out_features
    return 0


def _peak(layers: tuple[Layer, ...], held: int) -> int:
    """Most numbers alive at once; ``held`` are those that an outer residual or scale keeps."""
    most = held
    for layer in layers:
        if isinstance(layer, Conv | Pool | Linear):
            most = max(most, held + prod(input_shape(layer)) + prod(output_shape(layer)))
        else:
            size = prod(input_shape(layer))
            # The branch keeps its input while the body runs, whose first layer reads the same one.
            inner = _peak(layer.body[:1], held)
            most = max(most, inner, _peak(layer.body[1:], held + size), held + 2 * size)
    return most
