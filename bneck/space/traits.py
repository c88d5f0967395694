"""What edits, tables, features and comparisons read of a block, and the copies that edits make.

Kernels, squeeze-excite and activations are read off the layers that a block is lowered to. Two of a
block's own fields have a meaning: ``expansion``, the inner width that can be narrowed on its own,
and ``activation``, which V3's hand-made step exchanges. A block without such a field is left as it
is.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import TypeVar

from bneck.space.architecture import Part
from bneck.space.blocks import Block
from bneck.space.heads import Head
from bneck.space.layers import Conv, Layer, Leaf, Residual, Scale

Value = TypeVar("Value", bound=Block | Head)


def declares(value: Block | Head, name: str) -> bool:
    """Whether a block or a head has a field of that name."""
    return any(field.name == name for field in fields(value))  # type: ignore[arg-type]


def expansion(block: Block) -> int | None:
    """The inner width that can be narrowed on its own; None where the block declares none."""
    return int(getattr(block, "expansion")) if declares(block, "expansion") else None  # noqa: B009


def changed(value: Value, **changes: int | str) -> Value | None:
    """A copy with other fields; None where the block or head does not declare one of them.

    Raises:
        UsageError: the new value is out of range.
    """
    if not all(declares(value, name) for name in changes):
        return None
    return replace(value, **changes)  # type: ignore[type-var]


def kernels(part: Part) -> tuple[int, ...]:
    """Kernels wider than 1x1, in the order they run; squeeze-excites aside."""
    convs = (leaf for leaf in _main_path(part.layers) if isinstance(leaf, Conv))
    return tuple(conv.kernel for conv in convs if conv.kernel > 1)


def activation(part: Part) -> str | None:
    """The first activation on the way through the block; None where it is linear."""
    convs = (leaf for leaf in _main_path(part.layers) if isinstance(leaf, Conv))
    return next((conv.activation for conv in convs if conv.activation != "none"), None)


def has_squeeze_excite(part: Part) -> bool:
    """Whether some layer rescales the channels by what a branch computes of them."""
    return any(isinstance(layer, Scale) for layer in _flat(part.layers))


def has_residual(part: Part) -> bool:
    """Whether the block adds its input to what it computes."""
    return any(isinstance(layer, Residual) for layer in part.layers)


def keeps_width(part: Part) -> bool:
    """Whether the output's channels are the input's: added to it, or the block is empty."""
    return not part.layers or has_residual(part)


def _flat(layers: tuple[Layer, ...]) -> Iterator[Leaf | Scale]:
    """The layers without residuals around them."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from _flat(layer.body)
        else:
            yield layer


def _main_path(layers: tuple[Layer, ...]) -> Iterator[Leaf]:
    return (layer for layer in _flat(layers) if not isinstance(layer, Scale))
