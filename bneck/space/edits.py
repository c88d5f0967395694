"""Other widths for a network: one expansion, one bottleneck wherever it is shared, the head.

The two kinds of proposal of MobileNetV3's NetAdapt (section 4.2), and the layers behind the last
block, which NetAdapt narrows like any other (Yang et al. 2018, section 3.1): on small images they
are most of the latency.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from bneck.errors import UsageError, unknown
from bneck.space.architecture import Architecture, Part
from bneck.space.blocks import Block
from bneck.space.layers import Layer, Residual, Scale, leaves, round_channels
from bneck.space.traits import changed, declares, expansion, keeps_width

_NESTED = (Residual, Scale)
_HEAD_FIELDS = {"head.conv": "width", "head.hidden": "hidden"}


@dataclass(frozen=True, slots=True)
class Narrowable:
    """A width that can be narrowed on its own.

    Attributes:
        what: "s2.b1.expand" for an expansion, "s2.bottleneck" for a stage's output,
            "s2-3.bottleneck" where a residual ties two stages together, "head.conv" and
            "head.hidden" for the layers behind the last block.
        width: channels now.
    """

    what: str
    width: int


@lru_cache(maxsize=1024)  # every edit of a network asks for them, and many are tried of each
def narrowables(arch: Architecture) -> tuple[Narrowable, ...]:
    """Every width of the network that NetAdapt may shrink."""
    expansions = [
        Narrowable(f"{part.path}.expand", width)
        for part, block in arch.block_parts()
        if (width := expansion(block)) is not None and not _follows(part)
    ]
    bottlenecks = [
        Narrowable(name, arch.stages[group[0]][0].out) for name, group in _tied(arch)[1].items()
    ]
    heads = [
        Narrowable(what, getattr(arch.head, field))
        for what, field in _HEAD_FIELDS.items()
        if declares(arch.head, field)
    ]
    return (*expansions, *bottlenecks, *heads)


def narrow(arch: Architecture, what: str, width: int) -> Architecture:
    """The network with one of its ``narrowables`` at a smaller width.

    Args:
        arch: the network.
        what: name of the width, as in ``Narrowable``.
        width: its new number of channels.

    Raises:
        UsageError: there is no such width, or the new one would change the network's topology.
    """
    now = _width(arch, what)
    if not 1 <= width < now:
        raise UsageError(f"{what} must shrink below {now}, got {width}")
    return _resized(arch, what, width)


def widen(arch: Architecture, what: str, width: int) -> Architecture:
    """The network with one of its ``narrowables`` at a larger width; else as ``narrow``."""
    now = _width(arch, what)
    if width <= now:
        raise UsageError(f"{what} must grow beyond {now}, got {width}")
    return _resized(arch, what, width)


def widened(arch: Architecture, multiplier: float) -> Architecture:
    """The network with all its ``narrowables`` wider, as by a width multiplier above 1.

    Channels are multiples of 8. The stem stays as it is: its pixels are the most, so its channels
    take the most time.

    Args:
        arch: the network.
        multiplier: of the widths.

    Raises:
        UsageError: it would change the network's topology.
    """
    items = reversed(narrowables(arch))  # a width that reaches the next one's changes the topology,
    for item in sorted(items, key=lambda item: not item.what.endswith(".expand")):  # so inner first
        width = round_channels(multiplier * item.width)
        if width > item.width:
            arch = widen(arch, item.what, width)
    return arch


def narrow_stem(arch: Architecture, width: int, activation: str) -> Architecture:
    """The network with a narrower stem of another activation, and what a residual ties to it.

    Where the first block's widths agree from now on, it adds its input: V3-Large's beginning is
    MnasNet-A1's with half the stem.

    Args:
        arch: the network.
        width: channels of the new stem.
        activation: of the new stem, a word of ``ACTIVATIONS``.

    Raises:
        UsageError: a block that is tied to the stem cannot change its output's width.
    """
    stem = replace(arch.stem, out=width, activation=activation)
    return _with_widths(arch, replace(arch, stem=stem), _tied(arch)[0], width)


def _width(arch: Architecture, what: str) -> int:
    known = {item.what: item.width for item in narrowables(arch)}
    if what not in known:
        raise unknown("width to narrow:", what, known)
    return known[what]


def _resized(arch: Architecture, what: str, width: int) -> Architecture:
    if what in _HEAD_FIELDS:
        head = changed(arch.head, **{_HEAD_FIELDS[what]: width})
        assert head is not None  # one of its narrowables
        edited = replace(arch, head=head)
    elif what.endswith(".expand"):
        edited = _with_expansion(arch, what.removesuffix(".expand"), width)
    else:
        edited = _with_widths(arch, arch, _tied(arch)[1][what], width)
    if [*map(_topology, edited.parts())] != [*map(_topology, arch.parts())]:
        raise UsageError(f"{what} at width {width} would add or drop a layer of the network")
    return edited


def _with_expansion(arch: Architecture, path: str, width: int) -> Architecture:
    return _mapped(
        arch, lambda here, block: _with(here, block, "expansion", width) if here == path else block
    )


def _with_widths(
    arch: Architecture, begun: Architecture, group: tuple[int, ...], width: int
) -> Architecture:
    """``begun`` with the stages of ``group`` at one output width; ``arch`` is what it was.

    Blocks without an expansion layer work at their input's width, and so follow it.
    """
    followers = {part.path for part, _ in arch.block_parts() if _follows(part)}
    tied = {f"s{s + 1}" for s in group}
    edited = _mapped(
        begun,
        lambda path, block: (
            _with(path, block, "out", width) if path.partition(".")[0] in tied else block
        ),
    )
    inputs = {part.path: part.in_channels for part in edited.parts()}
    return _mapped(
        edited,
        lambda path, block: (
            _with(path, block, "expansion", inputs[path]) if path in followers else block
        ),
    )


def _with(path: str, block: Block, field: str, width: int) -> Block:
    copy = changed(block, **{field: width})
    if copy is None:
        raise UsageError(f"{path} is a {type(block).__name__}, which has no field {field!r}")
    return copy


def _mapped(arch: Architecture, change: Callable[[str, Block], Block]) -> Architecture:
    stages = tuple(
        tuple(change(f"s{s}.b{b}", block) for b, block in enumerate(stage, start=1))
        for s, stage in enumerate(arch.stages, start=1)
    )
    return replace(arch, stages=stages)


@lru_cache(maxsize=65536)
def _follows(part: Part) -> bool:
    """Return whether the block has no expansion layer and so works at its input's width.

    That is so where its expansion is its input's width, and any other would need one more layer.
    """
    block = part.block
    if block is None or expansion(block) != part.in_channels:
        return False
    wider = _with(part.path, block, "expansion", part.in_channels + 1)
    layers = wider.lower(part.path, part.in_channels, part.in_px, "bn")
    return len([*leaves(layers)]) > len([*leaves(part.layers)])


def _tied(arch: Architecture) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
    """The stages that a residual ties to the stem, and all others by their bottleneck's name.

    Stages are given by their places; those that a residual ties together have one bottleneck.
    """
    groups: list[tuple[int, ...]] = [()]
    firsts = [part for part, _ in arch.block_parts() if part.path.endswith(".b1")]
    for index, first in enumerate(firsts):
        if keeps_width(first):
            groups[-1] = (*groups[-1], index)
        else:
            groups.append((index,))
    with_stem, *others = groups
    return with_stem, {_bottleneck_name(group): group for group in others}


@lru_cache(maxsize=65536)
def _topology(part: Part) -> tuple[object, ...]:
    """Kinds and paths of a part's layers, nested as they are."""
    return _kinds(part.layers)


def _kinds(layers: tuple[Layer, ...]) -> tuple[object, ...]:
    return tuple(
        (type(layer), layer.path, *(_kinds(layer.body) if isinstance(layer, _NESTED) else ()))
        for layer in layers
    )


def _bottleneck_name(group: tuple[int, ...]) -> str:
    first, last = group[0] + 1, group[-1] + 1
    return f"s{first}.bottleneck" if first == last else f"s{first}-{last}.bottleneck"
