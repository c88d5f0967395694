"""A network as a value, and the one place where its shapes are walked."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import chain
from typing import Any, Self

from bneck.errors import UsageError
from bneck.space.blocks import BLOCKS, Block, PlainConv
from bneck.space.checks import check_classes, check_range, check_resolution, check_word
from bneck.space.heads import HEADS, Head
from bneck.space.layers import NORMS, Layer

IMAGE_CHANNELS = 3
MAX_BLOCKS = 500


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """A block at its place, and what it is lowered to there.

    Networks that have the same block at the same place have the same object, so what is counted or
    predicted of a part can be cached by the part itself.

    Attributes:
        path: "stem", "s2.b1" or "head".
        block: None for the head.
        in_channels: channels that it reads.
        in_px: side of what it reads.
        layers: none where the block does nothing.
    """

    path: str
    block: Block | None
    in_channels: int
    in_px: int
    layers: tuple[Layer, ...]


class _Hashed:
    """Room for a hash that is worked out once: searches ask for it thousands of times."""

    __slots__ = ("_hash",)
    _hash: int


@dataclass(frozen=True, slots=True)
class Architecture(_Hashed):
    """Everything that decides a network's shape; equal and hashed by content.

    A stage is the run of blocks that share one output width, so its paths (``s2.b1.expand``) stay
    put when another stage changes its depth, and narrowing a stage keeps its residuals intact.
    """

    stem: PlainConv
    stages: tuple[tuple[Block, ...], ...]
    head: Head
    classes: int = 1000
    resolution_px: int = 224
    norm: str = "bn"

    def __post_init__(self) -> None:
        check_classes(self.classes)
        check_resolution(self.resolution_px)
        check_word("norm", self.norm, [word for word in NORMS if word != "none"])
        check_block_count(sum(len(stage) for stage in self.stages))
        for number, stage in enumerate(self.stages, start=1):
            if len({block.out for block in stage}) != 1:
                widths = [block.out for block in stage]
                raise UsageError(f"stage s{number} must have one output width, got {widths}")

    def __hash__(self) -> int:
        try:
            known: int = self._hash
        except AttributeError:
            known = hash((self.stem, self.stages, self.head, self.classes, self.resolution_px))
            object.__setattr__(self, "_hash", known)
        return known

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel with the words of its blocks: a worker has not run what gave one's own a word."""
        kinds = {type(one) for one in (self.stem, *chain.from_iterable(self.stages), self.head)}
        blocks = {word: kind for word, kind in BLOCKS.items() if kind in kinds}
        heads = {word: kind for word, kind in HEADS.items() if kind in kinds}
        return _arrived, (blocks, heads, *(getattr(self, field.name) for field in fields(self)))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that ``from_json`` turns back into an equal architecture."""
        from bneck.space import codec

        return codec.to_json(self)

    @classmethod
    def from_json(cls, value: Any) -> "Architecture":
        """Build the architecture that ``to_json`` wrote.

        Raises:
            UsageError: a key is missing, unknown or of the wrong type, or a value out of range.
        """
        from bneck.space import codec  # which imports this module

        return codec.from_json(value)

    def layers(self) -> tuple[Layer, ...]:
        """The network lowered to primitives, in the order they run, each with its input's shape."""
        return tuple(chain.from_iterable(part.layers for part in self.parts()))

    def parts(self) -> Iterator[Part]:
        """Stem, blocks and head with the shapes they read: the only walk over shapes."""
        channels, px = IMAGE_CHANNELS, self.resolution_px
        for path, block in (("stem", self.stem), *self._blocks()):
            yield _lower(block, path, channels, px, self.norm)
            channels, px = block.out, (px - 1) // block.stride + 1
        yield _lower_head(self.head, channels, px, self.classes, self.norm)

    def block_parts(self) -> Iterator[tuple[Part, Block]]:
        """The parts between stem and head, each with its block."""
        for part in self.parts():
            if part.block is not None and part.path != "stem":
                yield part, part.block

    def _blocks(self) -> Iterator[tuple[str, Block]]:
        for s, stage in enumerate(self.stages, start=1):
            for b, block in enumerate(stage, start=1):
                yield f"s{s}.b{b}", block

    def at(self, *, resolution_px: int | None = None, classes: int | None = None) -> Self:
        """The same network for another input side or class count; None keeps what is."""
        return replace(
            self,
            resolution_px=self.resolution_px if resolution_px is None else resolution_px,
            classes=self.classes if classes is None else classes,
        )


def _arrived(
    blocks: dict[str, type[Block]], heads: dict[str, type[Head]], *content: Any
) -> Architecture:
    """The architecture that was sent, once its words are known here."""
    BLOCKS.update((word, kind) for word, kind in blocks.items() if word not in BLOCKS)
    HEADS.update((word, kind) for word, kind in heads.items() if word not in HEADS)
    return Architecture(*content)


@lru_cache(maxsize=65536)
def _lower(block: Block, path: str, in_channels: int, in_px: int, norm: str) -> Part:
    return Part(path, block, in_channels, in_px, block.lower(path, in_channels, in_px, norm))


@lru_cache(maxsize=4096)
def _lower_head(head: Head, in_channels: int, in_px: int, classes: int, norm: str) -> Part:
    layers = head.lower(in_channels, in_px, classes, norm)
    return Part("head", None, in_channels, in_px, layers)


def check_block_count(count: int) -> None:
    """Raise UsageError unless a network may have ``count`` blocks between stem and head."""
    check_range("number of blocks", count, 1, MAX_BLOCKS)


def block_path(path: str) -> str:
    """Return the path of a layer's block: "s2.b1.se.reduce" -> "s2.b1", "head.conv" -> "head"."""
    parts = path.split(".")
    return ".".join(parts[:2]) if parts[0] not in ("stem", "head") else parts[0]
