"""A network as the papers print it: one row per block, headed by the size of its input."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from bneck.space.architecture import Architecture, Part, block_path
from bneck.space.blocks import BLOCKS, Block
from bneck.space.layers import Leaf, Linear, Pool, input_shape, leaves
from bneck.space.traits import activation, expansion, has_residual, has_squeeze_excite, kernels
from bneck.text import aligned

OPERATORS = {
    "inverted_residual": "bneck",
    "universal_bottleneck": "UIB",
    "fused_bottleneck": "FusedIB",
    "conv": "conv2d",
}
"""The papers' words for blocks where they differ from ours; any other block shows its own word."""

ABBREVIATIONS = {"relu": "RE", "relu6": "RE6", "hswish": "HS"}
"""MobileNetV3's abbreviations, tables 1 and 2."""


@dataclass(frozen=True, slots=True)
class Row:
    """One block, or one layer of the head; None where a column does not apply.

    ``kernel`` lists a block's kernels wider than 1x1, ``expansion`` is a width.
    """

    path: str
    px: int
    channels: int
    operator: str
    kernel: tuple[int, ...]
    expansion: int | None
    out: int
    se: bool
    activation: str | None
    stride: int
    residual: bool


def rows(arch: Architecture) -> tuple[Row, ...]:
    """Return the network as rows like MobileNetV3's tables 1 and 2."""
    table: list[Row] = []
    for part in arch.parts():
        if part.block is not None:
            table.append(_block_row(part, part.block))
        else:
            table += [_head_row(leaf) for leaf in leaves(part.layers)]
    return tuple(table)


def in_words(arch: Architecture) -> tuple[str, ...]:
    """Return one line per stage: "s3  k5 240→40 SE HS · ...", for hover texts and lists."""
    blocks = [row for row in rows(arch) if row.path.startswith("s") and row.path != "stem"]
    stages = groupby(blocks, lambda row: row.path.partition(".")[0])
    return tuple(
        f"{stage}  {' · '.join(block_in_words(row) for row in group)}" for stage, group in stages
    )


def block_in_words(row: Row) -> str:
    """Return one block in short: "k5 240→40 SE HS /2"."""
    inner = row.channels if row.expansion is None else row.expansion
    words = [f"k{'+'.join(map(str, row.kernel))}" if row.kernel else row.operator]
    words.append(f"{inner}→{row.out}")
    words += ["SE"] if row.se else []
    words += [row.activation] if row.activation else []
    words += ["/2"] if row.stride == 2 else []
    return " ".join(words)


def as_text(table: Iterable[Row]) -> str:
    """Return the rows as aligned columns for a terminal."""
    heads = ("layer", "input", "operator", "expansion", "out", "SE", "act", "stride")
    lines = [heads]
    for row in table:
        kernel = "+".join(f"{k}x{k}" for k in row.kernel)
        cells = (
            row.path,
            f"{row.px}x{row.px}x{row.channels}",
            f"{row.operator} {kernel}".strip(),
            "" if row.expansion is None else str(row.expansion),
            str(row.out),
            "SE" if row.se else "",
            row.activation or "",
            str(row.stride),
        )
        lines.append(cells)
    return aligned(lines)


def times(table: Iterable[Row], breakdown: Mapping[str, float]) -> dict[str, float]:
    """Return milliseconds by row, from milliseconds by layer or by block.

    What belongs to no row (a fixed cost, a head timed as a whole) follows under its own path.
    """
    spent = {row.path: 0.0 for row in table}
    for path, ms in breakdown.items():
        owner = next((name for name in (path, block_path(path)) if name in spent), path)
        spent[owner] = spent.get(owner, 0.0) + ms
    return spent


def _block_row(part: Part, block: Block) -> Row:
    word = next(word for word, kind in BLOCKS.items() if kind is type(block))
    return Row(
        path=part.path,
        px=part.in_px,
        channels=part.in_channels,
        operator=OPERATORS.get(word, word.replace("_", " ")),
        kernel=kernels(part),
        expansion=expansion(block),
        out=block.out,
        se=has_squeeze_excite(part),
        activation=_abbreviated(activation(part)),
        stride=block.stride,
        residual=has_residual(part),
    )


def _head_row(leaf: Leaf) -> Row:
    channels, px, _ = input_shape(leaf)
    if isinstance(leaf, Pool):
        return Row(leaf.path, px, channels, "pool", (px,), None, channels, False, None, 1, False)
    out = leaf.out_features if isinstance(leaf, Linear) else leaf.out_channels
    operator = "linear" if isinstance(leaf, Linear) else "conv2d"
    kernel = () if isinstance(leaf, Linear) else (leaf.kernel,)
    word = _abbreviated(leaf.activation)
    return Row(leaf.path, px, channels, operator, kernel, None, out, False, word, 1, False)


def _abbreviated(activation: str | None) -> str | None:
    """The papers' abbreviation where there is one; None for none."""
    return None if activation in (None, "none") else ABBREVIATIONS.get(activation, activation)
