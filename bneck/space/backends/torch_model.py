"""A network as a torch module, read from the lowering.

Parameters are named by the layers' paths: ``s2.b1.expand.conv.weight``, ``s2.b1.expand.norm.bias``.
"""

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, unfold
from torch.nn.grad import conv2d_input

from bneck.space.architecture import Architecture
from bneck.space.layers import NORMS, Conv, Layer, Leaf, Linear, Pool, Residual, leaves

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hswish": nn.Hardswish,
    "sigmoid": nn.Sigmoid,
    "hsigmoid": nn.Hardsigmoid,
}


def build(arch: Architecture, *, seed: int = 0) -> "Network":
    """A freshly initialised network; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):  # torch's layers draw weights of their own first
        network = Network(arch)
    initialise(network, seed)
    return network


class LayerStack(nn.Module):
    """Any run of layers: what the first of them reads, N images of it -> the last's output."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        super().__init__()
        self._layers = layers
        for leaf in leaves(layers):
            attach(self, leaf.path, module_of(leaf))

    def forward(self, images: Tensor) -> Tensor:
        return self.run(self._layers, images)

    def run(self, layers: tuple[Layer, ...], x: Tensor) -> Tensor:
        """Run some of this network's layers, by their paths, on what the first of them reads."""
        for layer in layers:
            if isinstance(layer, Conv | Pool | Linear):
                x = self.get_submodule(layer.path)(x)
            elif isinstance(layer, Residual):
                x = x + self.run(layer.body, x)
            else:
                x = x * self.run(layer.body, x)
        return x


class Network(LayerStack):
    """(N, 3, resolution, resolution) float images -> (N, classes) logits.

    Other input sides work as well: the layers are convolutions up to the pool.
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__(arch.layers())
        self.architecture = arch


@lru_cache(maxsize=8)
def without_weights(arch: Architecture) -> Network:
    """Return a network without content, to ask for shapes or to call with weights of others."""
    with torch.device("meta"):
        return Network(arch)


def empty_state(arch: Architecture) -> dict[str, Tensor]:
    """Return a network's tensors by name: their shapes and types, without content."""
    return without_weights(arch).state_dict()


class ConvUnit(nn.Module):
    """Convolution, batch norm unless there is none, activation."""

    def __init__(self, layer: Conv) -> None:
        super().__init__()
        convolution = DepthwiseConv if layer.depthwise else nn.Conv2d
        self.conv = convolution(
            layer.in_channels,
            layer.out_channels,
            layer.kernel,
            layer.stride,
            layer.kernel // 2,
            groups=layer.groups,
            bias=layer.bias,
        )
        has_norm = layer.norm != "none"
        self.norm: nn.Module = (
            nn.BatchNorm2d(layer.out_channels, eps=NORMS[layer.norm]) if has_norm else nn.Identity()
        )
        self.activation = ACTIVATIONS[layer.activation]()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.norm(self.conv(x)))
        return y


class DepthwiseConv(nn.Conv2d):
    """A depthwise convolution that also trains fast on maps of a few pixels.

    There torch takes up to fifty times as long for the gradient of the weights as one small matrix
    product per channel does. Evaluation and exports keep the convolution.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.bias is not None or not x.is_cpu:
            return super().forward(x)  # before a shape is looked at: none may enter a trace
        side, kernel = x.shape[-1], self.kernel_size[0]
        tiny = side <= 2 or (side <= 4 and kernel >= 5)
        if not tiny or x.shape[-2] != side:
            return super().forward(x)
        y: Tensor = _TinyDepthwise.apply(x, self.weight, self.stride[0])
        return y


class _TinyDepthwise(torch.autograd.Function):
    """(N, C, side, side), (C, 1, kernel, kernel), stride -> (N, C, out, out)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None]:
        x, weight = ctx.saved_tensors
        channels, kernel, side, out = len(weight), weight.shape[-1], x.shape[-1], grad.shape[-1]
        grad_x = None
        if ctx.needs_input_grad[0]:
            padding = kernel // 2
            grad_x = conv2d_input(
                x.shape, weight, grad, stride=ctx.stride, padding=padding, groups=channels
            )
        inputs = x.permute(1, 2, 3, 0).reshape(channels, side**2, -1)
        outputs = grad.permute(1, 0, 2, 3).reshape(channels, -1, out**2)
        joined = torch.bmm(inputs, outputs).flatten(1)
        places = _places(kernel, ctx.stride, side).to(joined)
        return grad_x, (joined @ places.T).view_as(weight), None


class LinearUnit(nn.Module):
    """Flatten, fully connected layer, activation."""

    def __init__(self, layer: Linear) -> None:
        super().__init__()
        self.linear = nn.Linear(layer.in_features, layer.out_features)
        self.activation = ACTIVATIONS[layer.activation]()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.linear(torch.flatten(x, 1)))
        return y


def initialise(network: nn.Module, seed: int) -> None:
    """He initialisation by fan-out, unit batch norm, small classifier: the references' own."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.out_channels * module.kernel_size[0] ** 2 / module.groups
                module.weight.normal_(0.0, math.sqrt(2.0 / fan_out), generator=generator)
            elif isinstance(module, nn.Linear):
                module.weight.normal_(0.0, 0.01, generator=generator)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                module.bias.zero_()


@lru_cache(maxsize=64)
def _places(kernel: int, stride: int, side: int) -> Tensor:
    """(kernel^2, input pixels x output pixels): 1 where a weight joins the two pixels."""
    pixels = torch.eye(side**2).view(side**2, 1, side, side)
    joined = unfold(pixels, kernel, padding=kernel // 2, stride=stride)
    return joined.transpose(0, 1).flatten(1)


def module_of(leaf: Leaf) -> nn.Module:
    """One primitive, not initialised."""
    if isinstance(leaf, Conv):
        return ConvUnit(leaf)
    if isinstance(leaf, Linear):
        return LinearUnit(leaf)
    return nn.AdaptiveAvgPool2d(1)


def attach(root: nn.Module, path: str, module: nn.Module) -> None:
    """Put ``module`` at a dotted path, making what is missing on the way.

    Args:
        root: the module that the path begins in.
        path: names joined by dots; the last one becomes the module's.
        module: what to put there.
    """
    *parents, name = path.split(".")
    for part in parents:
        if not hasattr(root, part):
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(name, module)
