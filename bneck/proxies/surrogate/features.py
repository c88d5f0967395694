"""Architectures as numbers that a regression can learn accuracy from with few labels.

Everything is read off the blocks, so networks of any space, or of none, can be laid side by side.
Accuracy follows few coarse properties and many fine ones: columns therefore come in groups, and the
surrogate finds how much each group matters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log2
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bneck.space.architecture import Architecture, Part
from bneck.space.blocks import Block, Identity
from bneck.space.cost import part_cost
from bneck.space.traits import activation, expansion, has_squeeze_excite, kernels

Array = NDArray[np.float64]

COARSE = ("depth", "expansion", "width", "empty", "kernel", "se", "hswish")
"""Properties whose sum over the network, and its trend, are a group each."""

_SIZE, _KIND, _COST = slice(0, 4), slice(4, 7), slice(7, 9)
_PER_BLOCK = 9
"""Present, log2 expansion ratio, log2 width, empty first block; kernel, SE, h-swish; cost."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Numbers of stages, and of blocks per stage, that have columns of their own."""

    stages: int
    depth: int

    @classmethod
    def of(cls, archs: Sequence[Architecture]) -> Self:
        """Room for every block of these networks."""
        depth = max(len(stage) for arch in archs for stage in arch.stages)
        return cls(max(len(arch.stages) for arch in archs), depth)


def groups(archs: Sequence[Architecture], shape: Shape) -> dict[str, Array]:
    """Columns by group, each (networks, columns).

    Each of ``COARSE`` is a sum over the network and its trend from the first stage to the last;
    ``stage size``, ``stage kind`` and ``stage cost`` are the same properties by stage; ``weights``
    the log parameters of the stages, summed and as a trend; ``place`` how a block differs from its
    stage's mean, ``slot`` the blocks one by one, and ``cost`` log multiply-adds and log parameters.
    Blocks outside ``shape`` count in the sums alone.
    """
    networks = [_network(arch) for arch in archs]
    blocks = _padded([stages for stages, _ in networks], shape)
    stage = blocks.sum(axis=2)
    mean = stage / np.maximum(stage[:, :, :1], 1)
    stage_cost = np.log1p(stage[:, :, _COST])
    slots = blocks[:, : shape.stages, : shape.depth, : _COST.start]
    place = (slots - mean[:, : shape.stages, None, : _COST.start]) * slots[:, :, :, :1]
    trend = np.linspace(-1, 1, shape.stages) if shape.stages > 1 else np.zeros(1)
    trend = np.pad(trend, (0, stage.shape[1] - shape.stages), mode="edge")
    columns = {name: _sum_and_trend(stage[:, :, i : i + 1], trend) for i, name in enumerate(COARSE)}
    columns |= {
        "weights": _sum_and_trend(stage_cost[:, :, 1:], trend),
        "stage size": stage[:, : shape.stages, _SIZE],
        "stage kind": stage[:, : shape.stages, _KIND],
        "stage cost": stage_cost[:, : shape.stages],
        "place": place,
        "slot": slots,
        "cost": np.log([totals for _, totals in networks]),
    }
    return {name: values.reshape(len(archs), -1) for name, values in columns.items()}


def macs(archs: Sequence[Architecture]) -> Array:
    """Multiply-adds of each network; the same number that ``space.cost`` counts."""
    return np.array([_network(arch)[1][0] for arch in archs])


def _sum_and_trend(stages: Array, trend: Array) -> Array:
    """(networks, stages, columns) -> (networks, 2 columns): totals, and early against late."""
    return np.concatenate([stages.sum(axis=1), np.tensordot(stages, trend, (1, 0))], axis=1)


@lru_cache(maxsize=65536)
def _network(arch: Architecture) -> tuple[tuple[Array, ...], tuple[float, float]]:
    """By stage (blocks, columns), and (multiply-adds, parameters) of the whole."""
    costs = [part_cost(part) for part in arch.parts()]
    blocks = arch.block_parts()
    stages = tuple(
        np.array([_block(*next(blocks), number == 0) for number in range(len(stage))])
        for stage in arch.stages
    )
    return stages, (float(sum(c.macs for c in costs)), float(sum(c.params for c in costs)))


@lru_cache(maxsize=65536)
def _block(part: Part, block: Block, first: bool) -> tuple[float, ...]:
    """One block's columns."""
    cost = part_cost(part)
    if isinstance(block, Identity):
        return (0, 0, 0, float(first), 0, 0, 0, cost.macs, cost.params)
    return (
        1,
        log2((expansion(block) or part.in_channels) / part.in_channels),
        log2(block.out),
        0,
        (max(kernels(part), default=1) - 3) / 2,
        float(has_squeeze_excite(part)),
        float(activation(part) == "hswish"),
        cost.macs,
        cost.params,
    )


def _padded(networks: list[tuple[Array, ...]], shape: Shape) -> Array:
    """(networks, stages, blocks, columns), at least ``shape``; zeros where there is no block."""
    stages = max(shape.stages, *(len(network) for network in networks))
    depth = max(shape.depth, *(len(rows) for network in networks for rows in network))
    blocks = np.zeros((len(networks), stages, depth, _PER_BLOCK))
    for i, network in enumerate(networks):
        for s, rows in enumerate(network):
            blocks[i, s, : len(rows)] = rows
    return blocks
