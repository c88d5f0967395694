"""Python that builds the network from torchvision's own classes, weights beside it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bneck.errors import UsageError
from bneck.results.exports import Exported, Trained
from bneck.results.exports.checking import facts, write_python
from bneck.results.exports.torchvision_templates import MNASNET, V2, V3
from bneck.space.architecture import Architecture, Part
from bneck.space.backends.torchvision_weights import to_torchvision
from bneck.space.blocks import InvertedResidual
from bneck.space.heads import ConvPoolLinear, ConvPoolLinearLinear


def write(trained: Trained, path: Path) -> Exported:
    """Write ``path`` and its weights (``.safetensors``), import both and compare.

    Raises:
        UsageError: the network is like none of MobileNetV3, V2 and MnasNet-B1 (names what is not).
    """
    return write_python(
        trained,
        path,
        code(trained, path.with_suffix(".safetensors").name),
        lambda theirs: to_torchvision(trained.state, trained.arch, theirs),
    )


def code(trained: Trained, weights: str) -> str:
    """Return the source of a module with ``build(weights)``, the classes and the normalisation."""
    arch = trained.arch
    like = _like_v3
    if isinstance(arch.head, ConvPoolLinear):
        like = _like_mnasnet if arch.head.activation == "relu" else _like_v2
    shared = {
        "file": weights,
        "facts": facts(trained),
        "px": arch.resolution_px,
        "classes": arch.classes,
    }
    return like(arch, shared)


def _like_v3(arch: Architecture, shared: Mapping[str, Any]) -> str:
    head = arch.head
    blocks = list(_inverted_residuals(arch))
    _expect(isinstance(head, ConvPoolLinearLinear), "its head is not V3's")
    assert isinstance(head, ConvPoolLinearLinear)
    _expect(
        head.activation == "hswish" and arch.stem.activation == "hswish", "no h-swish at its ends"
    )
    _expect(arch.norm == "bn_v3", "its batch norm's epsilon is not V3's")
    _expect((arch.stem.kernel, arch.stem.stride) == (3, 2), "its stem is not 3x3 with stride 2")
    widths = [arch.stem.out, head.width, head.hidden]
    rows = []
    for part, block in blocks:
        path = part.path
        _expect(block.activation in ("relu", "hswish"), f"{path} has {block.activation}")
        _expect(block.se in ("none", "expansion"), f"{path} takes its SE width from the input")
        _expect(block.se == "none" or block.gate == "hsigmoid", f"{path} has a {block.gate} gate")
        widths += [block.expansion, block.out]
        activation = '"HS"' if block.activation == "hswish" else '"RE"'
        sizes = f"{part.in_channels}, {block.kernel}, {block.expansion}, {block.out}"
        rows.append(f"    ({sizes}, {block.se != 'none'}, {activation}, {block.stride}),")
    odd = next((width for width in widths if width % 8), None)
    _expect(odd is None, f"torchvision rounds the width {odd} to a multiple of 8")
    return V3.format(
        rows="\n".join(rows), head=head.width, hidden=head.hidden, **shared, last=blocks[-1][1].out
    )


def _like_v2(arch: Architecture, shared: Mapping[str, Any]) -> str:
    head = arch.head
    blocks = list(_inverted_residuals(arch))
    assert isinstance(head, ConvPoolLinear)
    _expect(arch.stem.out == 32, f"its stem has {arch.stem.out} filters, torchvision's V2 has 32")
    _expect((arch.stem.kernel, arch.stem.stride) == (3, 2), "its stem is not 3x3 with stride 2")
    _expect(arch.norm == "bn", "its batch norm's epsilon is not V2's")
    _expect({arch.stem.activation, head.activation} == {"relu6"}, "its ends are not ReLU6")
    rows = []
    for part, block in blocks:
        path = part.path
        _expect(block.kernel == 3, f"{path} has a {block.kernel}x{block.kernel} kernel")
        _expect(block.se == "none", f"{path} has squeeze-excite")
        _expect(block.activation == "relu6", f"{path} has {block.activation}")
        ratio = block.expansion / part.in_channels
        rows.append(f"    ({ratio!r}, {block.out}, 1, {block.stride}),")
    return V2.format(rows="\n".join(rows), **shared, head=head.width, last=blocks[-1][1].out)


def _like_mnasnet(arch: Architecture, shared: Mapping[str, Any]) -> str:
    head, stem = arch.head, arch.stem
    (start, first), *blocks = whole = list(_inverted_residuals(arch))
    assert isinstance(head, ConvPoolLinear)
    _expect((stem.kernel, stem.stride) == (3, 2), "its stem is not 3x3 with stride 2")
    _expect(arch.norm == "bn", "its batch norm's epsilon is not MnasNet's")
    _expect(stem.activation == "relu", f"its stem has {stem.activation}")
    _expect(first.expansion == stem.out, f"{start.path} has an expansion")
    _expect(first.stride > 1 or first.out != stem.out, f"{start.path} has a residual")
    for part, block in whole:
        _expect(block.se == "none", f"{part.path} has squeeze-excite")
        _expect(block.activation == "relu", f"{part.path} has {block.activation}")
    rows = []
    for part, block in blocks:
        path, channels = part.path, part.in_channels
        _expect(block.kernel in (3, 5), f"{path} has a {block.kernel}x{block.kernel} kernel")
        ratio, rest = divmod(block.expansion, channels)
        _expect(ratio > 1 and rest == 0, f"{path} expands {channels} to {block.expansion}")
        rows.append(f"    ({channels}, {block.out}, {block.kernel}, {block.stride}, {ratio}),")
    return MNASNET.format(
        rows="\n".join(rows),
        **shared,
        stem=stem.out,
        first=f"{first.out}, {first.kernel}, {first.stride}",
        head=head.width,
        last=whole[-1][1].out,
    )


def _inverted_residuals(arch: Architecture) -> Iterable[tuple[Part, InvertedResidual]]:
    for part, block in arch.block_parts():
        if not isinstance(block, InvertedResidual):
            kind = type(block).__name__
            raise UsageError(
                f"not expressible in torchvision's classes: {part.path} is not an inverted "
                f"residual but a {kind}"
            )
        yield part, block


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise UsageError(f"not expressible in torchvision's classes: {otherwise}")
