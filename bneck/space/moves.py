"""MobileNetV3's hand-made steps (sections 5.1 and 5.2) as moves that a search can measure.

Rebuilt last stage, a stem of half the filters, h-swish from a depth on.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from bneck.errors import UsageError
from bneck.space.architecture import Architecture
from bneck.space.blocks import Block
from bneck.space.edits import narrow_stem
from bneck.space.heads import ConvPoolLinear, ConvPoolLinearLinear
from bneck.space.traits import changed

Move = tuple[str, Architecture]
"""The name of the move, and the resulting network."""

SMALLEST_STEM = 8
"""Fewest filters that a stem is halved to."""
HEAD_RATIO = 6
"""V3's last convolution is six times as wide as what it reads (tables 1 and 2)."""


def rebuilt_last_stages(arch: Architecture) -> Iterator[Move]:
    """Move the wide 1x1 convolution behind the pool (section 5.1, figure 5).

    In its place a convolution goes to six times the last width. A last stage of one block of
    stride 1, which only widened, is dropped, and in a second variant kept.
    """
    if not isinstance(arch.head, ConvPoolLinear):
        return
    kept = arch.stages
    for dropped in (1, 0):
        if dropped and (len(kept) < 2 or len(kept[-1]) != 1 or kept[-1][0].stride != 1):
            continue
        stages = kept[:-1] if dropped else kept
        with suppress(UsageError):  # six times the width may be more than a layer may have
            head = ConvPoolLinearLinear(HEAD_RATIO * stages[-1][-1].out, arch.head.width, "hswish")
            without = f", without s{len(kept)}" if dropped else ""
            yield f"last stage rebuilt{without}", replace(arch, stages=stages, head=head)


def halved_stems(arch: Architecture) -> Iterator[Move]:
    """Halve the stem's filters, with h-swish and with the activation it has (section 5.2)."""
    width = arch.stem.out // 2
    if width < SMALLEST_STEM:
        return
    for activation in dict.fromkeys(("hswish", arch.stem.activation)):
        with suppress(UsageError):  # a block tied to the stem may allow no such width
            narrower = narrow_stem(arch, width, activation)
            yield f"stem {arch.stem.out}->{width} {activation}", narrower


def late_hswish(arch: Architecture) -> Iterator[Move]:
    """Use ReLU before a stage and h-swish from it on, for every stage, the earliest first.

    Blocks without an activation to choose stay as they are.
    """
    for first in range(1, len(arch.stages) + 2):
        stages = tuple(
            tuple(
                _with_activation(block, "hswish" if number >= first else "relu") for block in stage
            )
            for number, stage in enumerate(arch.stages, start=1)
        )
        if stages != arch.stages:
            name = f"h-swish from s{first} on" if first <= len(arch.stages) else "no h-swish"
            yield name, replace(arch, stages=stages)


def _with_activation(block: Block, word: str) -> Block:
    try:
        return changed(block, activation=word) or block
    except UsageError:  # the block knows its activations better
        return block


MOVES = (rebuilt_last_stages, halved_stems, late_hswish)
"""Each yields its variants, the one that keeps most first."""
