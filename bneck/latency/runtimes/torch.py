"""PyTorch, eager: channels_last and inference mode, batch norms folded into the convolutions."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bneck.errors import UsageError
from bneck.latency.runtimes import run_clock
from bneck.latency.runtimes.weights import Array, pooled, without_norms
from bneck.space.layers import (
    Conv,
    Layer,
    Leaf,
    Linear,
    Pool,
    Residual,
    input_shape,
    leaves,
)

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": torch.relu,
    "relu6": nn.functional.relu6,
    "hswish": nn.functional.hardswish,
    "sigmoid": torch.sigmoid,
    "hsigmoid": nn.functional.hardsigmoid,
}


class Torch:
    """Float32, one image, eager."""

    def __init__(self, *, threads: int = 1) -> None:
        self.word = "torch"
        self.version = str(torch.__version__)
        self.threads = threads
        self.clock = run_clock(threads)
        self.wall = time.perf_counter_ns

    def prepare(self, layers: tuple[Layer, ...]) -> Callable[[], object]:
        image, network = image_and_network(layers)
        return self.bound(network, image)

    def bound(self, network: Callable[[Tensor], Tensor], image: Tensor) -> Callable[[], object]:
        """A call that runs ``network`` on ``image``, with this runtime's threads."""

        def run() -> Tensor:
            if torch.get_num_threads() != self.threads:
                torch.set_num_threads(self.threads)
            with torch.inference_mode():
                return network(image)

        return run

    def prepare_onnx(self, model: bytes) -> Callable[[], object]:
        raise UsageError(f"runtime {self.word!r} cannot run ONNX files; use onnxruntime")


def image_and_network(layers: tuple[Layer, ...]) -> tuple[Tensor, nn.Module]:
    """A random image, and the layers with random weights, both channels_last."""
    network = FoldedNetwork(without_norms(layers)).eval().to(memory_format=torch.channels_last)
    draw = torch.Generator().manual_seed(0)
    image = torch.randn(1, *input_shape(layers[0]), generator=draw)
    return image.contiguous(memory_format=torch.channels_last), network


class FoldedNetwork(nn.Module):
    """Any run of layers with random weights, each convolution one module with its norm folded."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        super().__init__()
        self._layers = layers
        state = pooled(layers)
        self.parts = nn.ModuleDict()
        for leaf in leaves(layers):
            if not isinstance(leaf, Pool):
                self.parts[leaf.path.replace(".", "/")] = _module(leaf, state)

    def forward(self, x: Tensor) -> Tensor:
        return self._run(self._layers, x)

    def _run(self, layers: tuple[Layer, ...], x: Tensor) -> Tensor:
        for layer in layers:
            if isinstance(layer, Conv | Linear):
                flat = torch.flatten(x, 1) if isinstance(layer, Linear) else x
                x = _ACTIVATIONS[layer.activation](self.parts[layer.path.replace(".", "/")](flat))
            elif isinstance(layer, Pool):
                x = nn.functional.adaptive_avg_pool2d(x, 1)
            elif isinstance(layer, Residual):
                x = x + self._run(layer.body, x)
            else:
                x = x * self._run(layer.body, x)
        return x


def _module(leaf: Leaf, state: dict[str, Array]) -> nn.Module:
    module: nn.Conv2d | nn.Linear
    if isinstance(leaf, Conv):
        sizes = leaf.in_channels, leaf.out_channels, leaf.kernel, leaf.stride, leaf.kernel // 2
        module = nn.Conv2d(*sizes, groups=leaf.groups)
        name = f"{leaf.path}.conv"
    else:
        assert isinstance(leaf, Linear)
        module = nn.Linear(leaf.in_features, leaf.out_features)
        name = f"{leaf.path}.linear"
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(state[f"{name}.weight"]))
        module.bias = nn.Parameter(torch.from_numpy(state[f"{name}.bias"]))
    return module
