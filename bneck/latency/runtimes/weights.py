"""Weights and images that are only there to be timed: slices of one random pool, none drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from math import prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bneck.space.backends.onnx_model import folded
from bneck.space.layers import Conv, Layer, Linear, Residual, Scale, input_shape, leaves

Array = NDArray[np.float32]
POOL = 1 << 23


def norm_free(
    layers: tuple[Layer, ...],
    weights: Mapping[str, Array] | None = None,
    *,
    period: int | None = None,
) -> tuple[tuple[Layer, ...], dict[str, Array]]:
    """Return the layers with batch norms folded away, and their weights.

    Args:
        layers: of a network, or any run of layers.
        weights: by the torch module's state names; None takes random ones.
        period: after which random weights repeat, so that a file of them can be compressed.
    """
    plain = without_norms(layers)
    if weights is None:
        return plain, pooled(plain, period or POOL)
    state: dict[str, Array] = {}
    for leaf in leaves(layers):
        if isinstance(leaf, Conv):
            name = f"{leaf.path}.conv"
            state[f"{name}.weight"], state[f"{name}.bias"] = folded(leaf, weights)
        elif isinstance(leaf, Linear):
            for name in (f"{leaf.path}.linear.weight", f"{leaf.path}.linear.bias"):
                state[name] = np.asarray(weights[name])
    return plain, state


def random_images(layers: tuple[Layer, ...], batch_size: int = 1) -> Array:
    """Return what networks are timed on: (batch size, channels, px, px), always the same."""
    return random_input((batch_size, *input_shape(layers[0])), np.float32)


def random_input(shape: Sequence[int], kind: Any) -> NDArray[Any]:
    """Return what a model of any origin is timed on, always the same, whatever numbers it takes.

    Args:
        shape: of the input.
        kind: numpy's type of its numbers: whole ones are any that it has.
    """
    draw = np.random.default_rng(0)
    if not np.issubdtype(kind, np.integer):
        return draw.standard_normal(shape, np.float32).astype(kind)
    limits = np.iinfo(kind)
    return draw.integers(limits.min, limits.max, shape, kind, endpoint=True)


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


def pooled(layers: tuple[Layer, ...], period: int) -> dict[str, Array]:
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
        state[f"{name}.weight"] = _pool(prod(shape), sqrt(2 / prod(shape[1:])), period).reshape(
            shape
        )
        state[f"{name}.bias"] = _pool(shape[0], 0.1, period)
    return state


def _pool(size: int, deviation: float, period: int) -> Array:
    pool = random_pool()[:period]
    values = np.resize(pool, size) if size > period else pool[:size]
    return values * np.float32(deviation)


@lru_cache(maxsize=1)
def random_pool() -> Array:
    """POOL standard normal numbers, always the same."""
    return np.random.default_rng(0).standard_normal(POOL, np.float32)
