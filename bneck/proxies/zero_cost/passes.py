"""One untrained network, and the forward and backward passes that its scores are read from."""

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, takewhile

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bneck.proxies.data.batches import seeded
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.pixels import fit_square
from bneck.proxies.zero_cost.block_stats import BlockStats, block_stats
from bneck.space.architecture import Architecture, block_path
from bneck.space.backends.torch_model import Network, build
from bneck.space.layers import Layer, Pool

BATCH = 12
MAX_PX = 96  # wider images cost time and memory
_RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Hardswish)


@dataclass(frozen=True)
class Labelled:
    """Results of one forward and backward pass of a batch of images."""

    agreement: Tensor  # float32 (B, B): rectifiers that are on in both images, or off in both
    slopes: Tensor  # float32 (B, 3, side, side): d sum of logits / d pixels
    gradient: tuple[Tensor, ...]  # d mean cross-entropy / d weights, in the order of ``weights``


class Passes:
    """The passes that proxies read; each is computed when it is first read, and kept.

    The network is in training mode: batch norm works by the batch. Images are twice 12 of the
    training part, every class in proportion; noise has the network's own side; neither is wider
    than 96 px, which no convolution minds. No graph outlives its part.
    """

    def __init__(self, arch: Architecture, images: ImageSource | None, *, seed: int) -> None:
        self.arch = arch if images is None else arch.at(classes=images.info.classes)
        self.images, self.seed = images, seed

    @cached_property
    def network(self) -> Network:
        """The network, freshly initialised."""
        return build(self.arch, seed=self.seed).to(memory_format=torch.channels_last).train()

    @cached_property
    def weights(self) -> tuple[Tensor, ...]:
        """Weights of convolutions and linear layers, without biases and batch norms."""
        modules = self.network.modules()
        return tuple(m.weight for m in modules if isinstance(m, nn.Conv2d | nn.Linear))

    @property
    def before_pool(self) -> tuple[Layer, ...]:
        """Return the layers before the classifier's pool."""
        return tuple(takewhile(lambda layer: not isinstance(layer, Pool), self.arch.layers()))

    @property
    def side_px(self) -> int:
        """Side of noise and of constant inputs."""
        return min(self.arch.resolution_px, MAX_PX)

    def noise(self, number: int) -> Tensor:
        """Return standard normal noise (12, 3, side, side), different for each number."""
        shape = (BATCH, 3, self.side_px, self.side_px)
        drawn = torch.randn(shape, generator=seeded(self.seed, 3, number))
        return drawn.contiguous(memory_format=torch.channels_last)

    @cached_property
    def blocks(self) -> tuple[BlockStats, ...]:
        """Statistics of stem, blocks that have layers, and last convolution on noise."""
        groups = groupby(self.before_pool, lambda layer: block_path(layer.path))
        parts = [tuple(layers) for _, layers in groups]
        return block_stats(self.network, parts, self.noise(0), seeded(self.seed, 4))

    @cached_property
    def labelled(self) -> Labelled:
        """Results of a batch of images."""
        pixels, labels = self._images[0]
        pixels.requires_grad_()
        agreement = torch.zeros(len(pixels), len(pixels))

        def count(module: nn.Module, inputs: tuple[Tensor]) -> None:
            on = (inputs[0].detach().movedim(1, -1).flatten(1) > 0).float()
            both = on @ on.T
            each = both.diagonal()
            agreement.add_(2 * both - each - each[:, None] + on.shape[1])

        rectifiers = [m for m in self.network.modules() if isinstance(m, _RECTIFIERS)]
        hooks = [module.register_forward_pre_hook(count) for module in rectifiers]
        try:
            logits = self.network(pixels)
        finally:
            for hook in hooks:
                hook.remove()
        (slopes,) = torch.autograd.grad(logits.sum(), pixels, retain_graph=True)
        return Labelled(agreement, slopes, self._gradient(logits, labels))

    @cached_property
    def gradients(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Gradients of the mean cross-entropy by the weights, of ``labelled`` and another batch."""
        pixels, labels = self._images[1]
        return self.labelled.gradient, self._gradient(self.network(pixels), labels)

    @cached_property
    def _images(self) -> list[tuple[Tensor, Tensor]]:
        assert self.images is not None
        batch = self.images.subset(seed=self.seed, train=2 * BATCH)
        side = min(self.images.info.resolution_px, MAX_PX)
        pixels = self.images.normalise(fit_square(batch.train.pixels(), side))
        halves = zip(pixels.tensor_split(2), batch.train.labels.tensor_split(2), strict=True)
        return [(half.clone(), labels) for half, labels in halves]

    def _gradient(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(cross_entropy(logits, labels), self.weights)
