"""What blocks are called in published tables of latencies: as once-for-all calls them.

An example is
``expanded_conv-input:56x56x32-output:28x28x48-expand:128-kernel:5-stride:2-idskip:0-se:1-hs:0``,
with the sides before the channels and ``hs`` for h-swish. What those names cannot say (ReLU6,
another gate or squeeze width) is appended, so it is never taken for what they do say. Other kinds
of blocks are called by their layers, with all that is not usual in these appended.
"""

from collections.abc import Iterator
from itertools import groupby

from bneck.space.architecture import block_path
from bneck.space.layers import (
    Conv,
    Layer,
    Leaf,
    Pool,
    Residual,
    input_shape,
    leaves,
    output_shape,
    round_channels,
)


def block_names(layers: tuple[Layer, ...]) -> Iterator[tuple[str, str]]:
    """(path, name) of every part of a network that a table has an entry for."""
    added = {layer.path for layer in layers if isinstance(layer, Residual)}
    for path, group in groupby(leaves(layers), lambda leaf: block_path(leaf.path)):
        parts = list(group)
        if path in ("stem", "head"):
            yield from ((part.path, _end(part)) for part in parts)
        else:
            yield path, _block(path, parts, path in added)


_ENDS = {
    "stem.conv": ("Conv", "hswish"),
    "head.conv": ("Conv_1", "hswish"),
    "head.pool": ("AvgPool2D", "none"),
    "head.hidden": ("Conv_2", "hswish"),
    "head.classifier": ("Logits", "none"),
}
"""once-for-all's name of a layer outside the blocks, and the activation that it stands for."""


def _end(leaf: Leaf) -> str:
    word, usual = _ENDS.get(leaf.path, (leaf.path, "none"))
    classes = leaf.path == "head.classifier"
    out = str(output_shape(leaf)[0]) if classes else _sides(output_shape(leaf))
    name = f"{word}-input:{_sides(input_shape(leaf))}-output:{out}"
    if isinstance(leaf, Conv):
        usual_kernel = 3 if leaf.path == "stem.conv" else 1
        name += f"-kernel:{leaf.kernel}" if leaf.kernel != usual_kernel else ""
        name += f"-groups:{leaf.groups}" if leaf.groups > 1 else ""
    activation = _activation(leaf)
    return name if activation == usual else f"{name}-act:{activation}"


_SQUEEZE_EXCITE = ("se.pool", "se.reduce", "se.expand")
_BOTTLENECKS = {
    (*first, "depthwise", *gate, "project")
    for first in ((), ("expand",))
    for gate in ((), _SQUEEZE_EXCITE)
}
"""The layers of the blocks that once-for-all has names for."""


def _block(path: str, parts: list[Leaf], skip: bool) -> str:
    words = tuple(part.path.removeprefix(f"{path}.") for part in parts)
    named = dict(zip(words, parts, strict=True))
    first, wide, last = parts[0], named.get("depthwise"), parts[-1]
    ends = f"input:{_sides(input_shape(first))}-output:{_sides(output_shape(last))}"
    usual = words in _BOTTLENECKS and _activation(last) == "none" and _mixes_by_points(named)
    if not usual or not isinstance(wide, Conv):
        return f"{'+'.join(words)}-{ends}{'-idskip:1' * skip}{_details(named)}"
    name = (
        f"expanded_conv-{ends}-expand:{wide.out_channels}-kernel:{wide.kernel}"
        f"-stride:{wide.stride}-idskip:{skip:d}-se:{'se.reduce' in named:d}"
        f"-hs:{wide.activation == 'hswish':d}"
    )
    if wide.activation not in ("relu", "hswish"):
        name += f"-act:{wide.activation}"
    if "expand" in named and wide.out_channels == input_shape(first)[0]:
        name += "-expanded"  # which V3's block is not where that adds no channels
    if (before := _activation(first)) != wide.activation:
        name += f"-expand.act:{before}"
    squeeze = named.get("se.reduce")
    if isinstance(squeeze, Conv):
        if squeeze.out_channels != round_channels(wide.out_channels // 4):
            name += f"-squeeze:{squeeze.out_channels}"
        gate = parts[-2]
        if isinstance(gate, Conv) and gate.activation != "hsigmoid":
            name += f"-gate:{gate.activation}"
    return name


def _mixes_by_points(named: dict[str, Leaf]) -> bool:
    """Whether all convolutions but the depthwise one are 1x1 and in one group."""
    convs = {word: leaf for word, leaf in named.items() if isinstance(leaf, Conv)}
    wide = convs.pop("depthwise")
    return wide.groups == wide.in_channels and all(
        conv.kernel == conv.groups == 1 for conv in convs.values()
    )


def _details(named: dict[str, Leaf]) -> str:
    """What a list of layers does not say of them, where it is not the usual: 3x3 and ReLU."""
    found, spatial = "", 0
    for place, (word, leaf) in enumerate(named.items(), start=1):
        if isinstance(leaf, Conv):
            spatial += leaf.kernel > 1
            groups = leaf.in_channels if word in ("depthwise", "start") else 1
            usual = {
                "kernel": (leaf.kernel, 1 if word in ("expand", "project") else 3),
                "groups": (leaf.groups, groups),
                "stride": (leaf.stride, leaf.stride if spatial == 1 else 1),
            }
            for what, (value, expected) in usual.items():
                found += f"-{word}.{what}:{value}" if value != expected else ""
        if place < len(named) and output_shape(leaf)[0] != input_shape(leaf)[0]:
            found += f"-{word}.out:{output_shape(leaf)[0]}"
        if not isinstance(leaf, Pool) and leaf.activation != "relu":
            found += f"-{word}.act:{leaf.activation}"
    return found


def _activation(leaf: Leaf) -> str:
    return "none" if isinstance(leaf, Pool) else leaf.activation


def _sides(shape: tuple[int, int, int]) -> str:
    channels, px, _ = shape
    return f"{px}x{px}x{channels}"
