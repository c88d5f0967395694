"""Traits of blocks, read by edits, tables, features and comparisons, and edited copies of blocks.

Kernels, squeeze-excite and activations are read off the layers that a block is lowered to. Two of a
block's own fields have a meaning: ``expansion``, the inner width that can be narrowed on its own,
and ``activation``, which V3's hand-made step exchanges. A block without such a field is left as it
is.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import lru_cache
from typing import TypeVar

from bneck.space.architecture import Part
from bneck.space.blocks import Block
from bneck.space.channels import keeps_channels
from bneck.space.heads import Head
from bneck.space.layers import Conv, Layer, Leaf, Residual, Scale

Value = TypeVar("Value", bound=Block | Head)


def declares(value: Block | Head, name: str) -> bool:
    """Return whether a block or a head has a field of that name."""
    return name in _field_names(type(value))


@lru_cache(maxsize=256)
def _field_names(kind: type[Block | Head]) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind))  # type: ignore[arg-type]


def expansion(block: Block) -> int | None:
    """Return the inner width that can be narrowed on its own, None where none is declared."""
    return int(getattr(block, "expansion")) if declares(block, "expansion") else None  # noqa: B009


def changed(value: Value, **changes: int | str) -> Value | None:
    """Return a copy with other fields, None where the block or head does not declare one of them.

    Raises:
        UsageError: the new value is out of range.
    """
    if not all(declares(value, name) for name in changes):
        return None
    return replace(value, **changes)  # type: ignore[type-var]


def kernels(part: Part) -> tuple[int, ...]:
    """Return the kernels wider than 1x1, in the order they run; squeeze-excites aside."""
    return tuple(conv.kernel for conv in _main_path(part) if conv.kernel > 1)


def activation(part: Part) -> str | None:
    """Return the first activation of the block's main path, None where it is linear."""
    words = (conv.activation for conv in _main_path(part))
    return next((word for word in words if word != "none"), None)


def has_squeeze_excite(part: Part) -> bool:
    """Return whether a branch of the block rescales its channels."""
    return any(isinstance(layer, Scale) for layer in _flat(part.layers))


def has_residual(part: Part) -> bool:
    """Return whether the block adds its input to its result."""
    return bool(part.layers) and all(isinstance(layer, Residual) for layer in part.layers)


@lru_cache(maxsize=65536)
def keeps_width(part: Part) -> bool:
    """Return whether the output must have the input's width, as behind a residual."""
    return keeps_channels(part.layers)


def _flat(layers: tuple[Layer, ...]) -> Iterator[Leaf | Scale]:
    """The layers without residuals around them."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from _flat(layer.body)
        else:
            yield layer


def _main_path(part: Part) -> Iterator[Conv]:
    """The convolutions outside of squeeze-excites."""
    return (layer for layer in _flat(part.layers) if isinstance(layer, Conv))
