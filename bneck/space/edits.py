"""Other widths for a network: one expansion, one bottleneck wherever it is shared, the head.

The two kinds of proposal of MobileNetV3's NetAdapt (section 4.2), and the layers behind the last
block, which NetAdapt narrows like any other (Yang et al. 2018, section 3.1): on small images they
are most of the latency.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bneck.errors import UsageError, unknown
from bneck.space.architecture import Architecture
from bneck.space.blocks import Block, FusedBottleneck, InvertedResidual, UniversalBottleneck
from bneck.space.layers import Layer, Residual, Scale

_NESTED = (Residual, Scale)
Bottleneck = InvertedResidual | UniversalBottleneck | FusedBottleneck
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


def narrowables(arch: Architecture) -> tuple[Narrowable, ...]:
    """Every width of the network that NetAdapt may shrink."""
    expansions = [
        Narrowable(f"{path}.expand", block.expansion)
        for path, block, in_channels in _with_inputs(arch)
        if isinstance(block, Bottleneck) and not _follows(block, in_channels)
    ]
    bottlenecks = [
        Narrowable(_bottleneck_name(group), arch.stages[group[0]][0].out)
        for group in _tied_stages(arch)
    ]
    heads = [
        Narrowable(what, getattr(arch.head, field))
        for what, field in _HEAD_FIELDS.items()
        if hasattr(arch.head, field)
    ]
    return (*expansions, *bottlenecks, *heads)


def narrow(arch: Architecture, what: str, width: int) -> Architecture:
    """The network with one of its ``narrowables`` at a smaller width.

    Raises:
        UsageError: there is no such width, or the new one would change the network's topology.
    """
    now = _width(arch, what)
    if not 1 <= width < now:
        raise UsageError(f"{what} must shrink below {now}, got {width}")
    return _resized(arch, what, width)


def widen(arch: Architecture, what: str, width: int) -> Architecture:
    """The network with one of its ``narrowables`` at a larger width; errors as in ``narrow``."""
    now = _width(arch, what)
    if width <= now:
        raise UsageError(f"{what} must grow beyond {now}, got {width}")
    return _resized(arch, what, width)


def narrow_stem(arch: Architecture, width: int, activation: str) -> Architecture:
    """The network with a narrower stem of another activation, and what a residual ties to it.

    Where the first block's widths agree from now on, it adds its input: V3-Large's beginning is
    MnasNet-A1's with half the stem.
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
        head = replace(arch.head, **{_HEAD_FIELDS[what]: width})  # type: ignore[type-var]
        changed = replace(arch, head=head)
    elif what.endswith(".expand"):
        changed = _with_expansion(arch, what.removesuffix(".expand"), width)
    else:
        groups = {_bottleneck_name(group): group for group in _tied_stages(arch)}
        changed = _with_widths(arch, arch, groups[what], width)
    if _topology(changed.layers()) != _topology(arch.layers()):
        raise UsageError(f"{what} at width {width} would add or drop a layer of the network")
    return changed


def _with_expansion(arch: Architecture, path: str, width: int) -> Architecture:
    def change(here: str, block: Block) -> Block:
        if here == path and isinstance(block, Bottleneck):
            return replace(block, expansion=width)
        return block

    return _mapped(arch, change)


def _with_widths(
    arch: Architecture, begun: Architecture, group: tuple[int, ...], width: int
) -> Architecture:
    """``begun`` with the stages of ``group`` at one output width; ``arch`` is what it was.

    Blocks without an expansion layer work at their input's width, and so follow it.
    """
    inputs = {path: in_channels for path, _, in_channels in _with_inputs(arch)}
    stages = tuple(
        tuple(replace(block, out=width) if s in group else block for block in stage)  # type: ignore[type-var]
        for s, stage in enumerate(arch.stages)
    )
    changed = replace(begun, stages=stages)
    new_inputs = {path: in_channels for path, _, in_channels in _with_inputs(changed)}

    def follow(path: str, block: Block) -> Block:
        if isinstance(block, InvertedResidual) and _follows(block, inputs[path]):
            return replace(block, expansion=new_inputs[path])
        return block

    return _mapped(changed, follow)


def _mapped(arch: Architecture, change: Callable[[str, Block], Block]) -> Architecture:
    stages = tuple(
        tuple(change(f"s{s}.b{b}", block) for b, block in enumerate(stage, start=1))
        for s, stage in enumerate(arch.stages, start=1)
    )
    return replace(arch, stages=stages)


def _with_inputs(arch: Architecture) -> Iterator[tuple[str, Block, int]]:
    """(path, block, its input's width)"""
    channels = arch.stem.out
    for path, block in arch.blocks():
        yield path, block, channels
        channels = block.out


def _follows(block: Block, in_channels: int) -> bool:
    """Whether the block has no expansion layer, and so works at its input's width."""
    return isinstance(block, InvertedResidual) and block.expansion == in_channels


def _tied_stages(arch: Architecture) -> list[tuple[int, ...]]:
    """Indices of stages whose outputs residuals tie together, mostly one by one.

    Stages that a residual ties to the stem are left out: their width is the stem's.
    """
    return _tied(arch)[1:]


def _tied(arch: Architecture) -> list[tuple[int, ...]]:
    """The stages tied to the stem, then all others in groups."""
    groups: list[tuple[int, ...]] = [()]
    before = arch.stem.out
    for index, stage in enumerate(arch.stages):
        first = stage[0]
        tied = isinstance(first, Bottleneck) and first.stride == 1 and first.out == before
        if tied:
            groups[-1] = (*groups[-1], index)
        else:
            groups.append((index,))
        before = stage[-1].out
    return groups


def _topology(layers: tuple[Layer, ...]) -> list[object]:
    """Kinds and paths of all layers, nested as they are."""
    return [
        (type(layer), layer.path, *(_topology(layer.body) if isinstance(layer, _NESTED) else ()))
        for layer in layers
    ]


def _bottleneck_name(group: tuple[int, ...]) -> str:
    first, last = group[0] + 1, group[-1] + 1
    return f"s{first}.bottleneck" if first == last else f"s{first}-{last}.bottleneck"
