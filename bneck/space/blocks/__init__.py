"""The blocks a network is built of: one file each, one word in BLOCKS."""

from typing import Protocol

from bneck.space.blocks.depthwise_separable import DepthwiseSeparable
from bneck.space.blocks.fused_bottleneck import FusedBottleneck
from bneck.space.blocks.identity import Identity
from bneck.space.blocks.inverted_residual import InvertedResidual
from bneck.space.blocks.plain_conv import PlainConv
from bneck.space.blocks.universal_bottleneck import UniversalBottleneck
from bneck.space.layers import Layer

__all__ = [
    "BLOCKS",
    "Block",
    "DepthwiseSeparable",
    "FusedBottleneck",
    "Identity",
    "InvertedResidual",
    "PlainConv",
    "UniversalBottleneck",
]


class Block(Protocol):
    """Interface of every block: its output width, its stride, and how it is lowered."""

    @property
    def out(self) -> int: ...

    @property
    def stride(self) -> int: ...

    def __hash__(self) -> int: ...

    def lower(self, path: str, in_channels: int, in_px: int, norm: str) -> tuple[Layer, ...]:
        """The primitives of this block at its place.

        (in_channels, in_px, in_px) -> (out, in_px / stride, in_px / stride), sides rounded up

        Args:
            path: of the block, such as "s2.b1"; its layers' paths begin with it.
            in_channels: channels of the input.
            in_px: side of the input, px.
            norm: a word of ``NORMS``, the batch norm outside squeeze-excites, which have none.
        """
        ...


BLOCKS: dict[str, type[Block]] = {
    "conv": PlainConv,
    "depthwise_separable": DepthwiseSeparable,
    "fused_bottleneck": FusedBottleneck,
    "identity": Identity,
    "inverted_residual": InvertedResidual,
    "universal_bottleneck": UniversalBottleneck,
}
