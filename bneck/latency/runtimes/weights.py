"""Weights that are only there to be timed: slices of one random pool, so that none are drawn."""

from dataclasses import replace
from functools import lru_cache
from math import prod, sqrt

import numpy as np
from numpy.typing import NDArray

from bneck.space.layers import Conv, Layer, Linear, Residual, Scale, leaves

Array = NDArray[np.float32]
POOL = 1 << 23


def without_norms(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The same layers with batch norms folded away: each convolution has a bias instead."""
    found: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Residual | Scale):
            found.append(replace(layer, body=without_norms(layer.body)))
        elif isinstance(layer, Conv):
            found.append(replace(layer, norm="none"))
        else:
            found.append(layer)
    return tuple(found)


def pooled(layers: tuple[Layer, ...]) -> dict[str, Array]:
    """Weights and biases by state name, for layers without norms, scaled as He's are.

    Biases are not zero, so that no activation fades into denormal numbers, which are slow.
    """
    state: dict[str, Array] = {}
    for leaf in leaves(layers):
        if isinstance(leaf, Conv):
            name = f"{leaf.path}.conv"
            shape: tuple[int, ...] = (leaf.out_channels, leaf.in_channels // leaf.groups)
            shape += (leaf.kernel, leaf.kernel)
        elif isinstance(leaf, Linear):
            name, shape = f"{leaf.path}.linear", (leaf.out_features, leaf.in_features)
        else:
            continue
        state[f"{name}.weight"] = _pool(prod(shape), sqrt(2 / prod(shape[1:]))).reshape(shape)
        state[f"{name}.bias"] = _pool(shape[0], 0.1)
    return state


def _pool(size: int, deviation: float) -> Array:
    values = np.resize(random_pool(), size) if size > POOL else random_pool()[:size]
    return values * np.float32(deviation)


@lru_cache(maxsize=1)
def random_pool() -> Array:
    """POOL standard normal numbers, always the same."""
    return np.random.default_rng(0).standard_normal(POOL, np.float32)
