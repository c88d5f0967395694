"""Which tensors of a network share their channels, read from the lowering.

A depthwise convolution, a squeeze-excite and a pool keep the channels of their input, and a
residual's body ends in the channels it began with: all of these must be narrowed together.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bneck.space.layers import Conv, Layer, Linear, Pool, Scale, leaves

_INPUT = "image"


@dataclass(frozen=True, slots=True)
class Ends:
    """The channel groups that a layer reads and writes, each named by its first writer's path.

    ``rescales`` is set where the layer only rescales or filters channels that others wrote:
    depthwise convolutions and the gates of squeeze-excites.
    """

    reads: str
    writes: str
    rescales: bool


def channel_groups(layers: tuple[Layer, ...]) -> dict[str, Ends]:
    """The channel groups at both ends of every Conv and Linear, by path."""
    return _walked(layers)[0]


def writers(layers: tuple[Layer, ...]) -> Iterator[tuple[Conv | Linear, str]]:
    """Yield each layer that writes channels, with their group: none that only rescales them."""
    groups = channel_groups(layers)
    for leaf in leaves(layers):
        if not isinstance(leaf, Pool) and not groups[leaf.path].rescales:
            yield leaf, groups[leaf.path].writes


def keeps_channels(layers: tuple[Layer, ...]) -> bool:
    """Whether the layers yield the channels that they read, so that both must be narrowed."""
    return _walked(layers)[1] == _INPUT


def _walked(layers: tuple[Layer, ...]) -> tuple[dict[str, Ends], str]:
    """What ``channel_groups`` returns, and the group that the last layer yields."""
    merged: dict[str, str] = {}
    ends: dict[str, Ends] = {}

    def root(group: str) -> str:
        while group in merged:
            group = merged[group]
        return group

    def walk(body: tuple[Layer, ...], group: str) -> str:
        for layer in body:
            if isinstance(layer, Pool):
                continue
            if isinstance(layer, Conv | Linear):
                depthwise = isinstance(layer, Conv) and layer.depthwise
                reads, group = group, group if depthwise else layer.path
                ends[layer.path] = Ends(reads, group, depthwise)
            else:
                last = walk(layer.body, group)
                if root(last) != root(group):
                    merged[root(last)] = root(group)
                    if isinstance(layer, Scale):
                        ends[last] = replace(ends[last], rescales=True)
        return group

    last = root(walk(layers, _INPUT))
    found = {
        path: replace(end, reads=root(end.reads), writes=root(end.writes))
        for path, end in ends.items()
    }
    return found, last
