"""One readable file of plain PyTorch, weights beside it, that needs nothing of bneck."""

from pathlib import Path

from bneck.errors import UsageError
from bneck.results.exports import Exported, Trained
from bneck.results.exports.checking import facts, write_python
from bneck.space.layers import NORMS, Conv, Layer, Linear, Pool, Residual, Scale

Tree = dict[str, "Layer | Tree"]
"""Layers, and chains of them, by the next part of their paths."""

ACTIVATIONS = {
    "relu": "nn.ReLU",
    "relu6": "nn.ReLU6",
    "hswish": "nn.Hardswish",
    "sigmoid": "nn.Sigmoid",
    "hsigmoid": "nn.Hardsigmoid",
}


def write(trained: Trained, path: Path) -> Exported:
    """Write ``path`` and its weights (``.safetensors``), import both and compare."""
    source = code(trained, path.with_suffix(".safetensors").name)
    return write_python(trained, path, source, lambda _: trained.state)


def code(trained: Trained, file: str) -> str:
    """The source of a module with ``build(weights)``; its parts are named as our layers' paths."""
    arch = trained.arch
    return _SOURCE.format(
        px=arch.resolution_px,
        classes=arch.classes,
        file=file,
        facts=facts(trained),
        eps=NORMS[arch.norm],
        network="\n".join(_chain("Chain", _tree(arch.layers()), 1)),
    )


def _tree(layers: tuple[Layer, ...], within: str = "") -> Tree:
    """Layers by the parts of their paths; what is nested in a layer stays inside it."""
    tree: Tree = {}
    for layer in layers:
        *parents, name = layer.path.removeprefix(within).split(".")
        node = tree
        for parent in parents:
            below = node.setdefault(parent, {})
            if not isinstance(below, dict) or list(node)[-1] != parent:
                raise UsageError(f"no plain PyTorch for {layer.path}: {parent} is not one chain")
            node = below
        if name in node:
            raise UsageError(f"no plain PyTorch for {layer.path}: two layers have this name")
        node[name] = layer
    return tree


def _chain(kind: str, tree: Tree, depth: int) -> list[str]:
    """A call of ``kind`` with one argument a part; the lines after the first are indented."""
    lines = [f"{kind}("]
    for name, part in tree.items():
        first, *rest = _part(part, depth + 1)
        lines += [f"{_INDENT * (depth + 1)}{name}={first}", *rest]
        lines[-1] += f",{_shape(part)}"
    return [*lines, f"{_INDENT * depth})"]


def _part(part: Layer | Tree, depth: int) -> list[str]:
    if isinstance(part, dict):
        return _chain("Chain", part, depth)
    if isinstance(part, Residual | Scale):
        return _chain(type(part).__name__, _tree(part.body, f"{part.path}."), depth)
    if isinstance(part, Pool):
        return ["nn.AdaptiveAvgPool2d(1)"]
    if isinstance(part, Linear):
        words = [f"{part.in_features}, {part.out_features}"]
    else:
        words = [f"{part.in_channels}, {part.out_channels}"]
        words += [
            f"{name}={getattr(part, name)}"
            for name in ("kernel", "stride", "groups")
            if getattr(part, name) != 1
        ]
        words += ["norm=False"] if part.norm == "none" else []
    if part.activation != "none":
        words.append(f"activation={ACTIVATIONS[part.activation]}")
    return [f"{type(part).__name__}({', '.join(words)})"]


def _shape(part: Layer | Tree) -> str:
    """A comment with the shape of a map that a convolution yields, such as ``# 72 x 8²``."""
    if not isinstance(part, Conv) or part.out_px == 1:
        return ""
    return f"  # {part.out_channels} x {part.out_px}²"


_INDENT = "    "

_SOURCE = '''"""A network derived by bneck, in plain PyTorch: {classes} classes, {px} x {px} pixels.

    network = build().eval()    # with the weights that lie beside this file
    logits = network(images)    # (N, 3, {px}, {px}), RGB from 0 to 1, less MEAN, divided by STD
"""

from collections import OrderedDict
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

WEIGHTS = Path(__file__).with_name({file!r})
{facts}


class Chain(nn.Sequential):
    """Parts one after another, named as in the weights' file."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__(OrderedDict(parts))


class Residual(Chain):
    """x + parts(x)"""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class Scale(Chain):
    """x * parts(x), the parts giving one factor per channel: squeeze-excite."""

    def forward(self, x: Tensor) -> Tensor:
        return x * super().forward(x)


class Conv(Chain):
    """Convolution, batch norm (a bias where there is none), activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        norm: bool = True,
        activation: type[nn.Module] = nn.Identity,
    ) -> None:
        padding = kernel // 2
        super().__init__(
            conv=nn.Conv2d(
                inputs, outputs, kernel, stride, padding, groups=groups, bias=not norm
            ),
            norm=nn.BatchNorm2d(outputs, eps={eps}) if norm else nn.Identity(),
            activation=activation(),
        )


class Linear(Chain):
    """Flatten, fully connected layer, activation."""

    def __init__(
        self, inputs: int, outputs: int, activation: type[nn.Module] = nn.Identity
    ) -> None:
        super().__init__(
            flatten=nn.Flatten(), linear=nn.Linear(inputs, outputs), activation=activation()
        )


def build(weights: Path | None = WEIGHTS) -> nn.Module:
    """The network, with its weights unless None is given; shapes are those of outputs."""
    network = {network}
    if weights is not None:
        network.load_state_dict(load_file(weights))
    return network
'''
