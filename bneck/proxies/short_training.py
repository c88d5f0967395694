"""Accuracy after a short training: the signal that costs most and assumes least."""

from dataclasses import dataclass

from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.space.architecture import Architecture
from bneck.space.backends.torch_model import build


@dataclass(frozen=True)
class ShortTraining:
    """Train from scratch for a few steps; score the averaged weights on the validation part.

    Give it ``ImageSource.for_search``: the final validation images must not choose a network.
    """

    images: ImageSource
    recipe: Recipe
    threads: int | None = None

    def __call__(self, arch: Architecture, *, seed: int) -> float:
        """Validation accuracy, 0 to 1; ``seed`` decides weights, batches and augmentation.

        Raises:
            ProxyFailed: the training diverged.
        """
        network = build(arch.at(classes=self.images.info.classes), seed=seed)
        result = train(network, self.images, self.recipe, seed=seed, threads=self.threads)
        return result.accuracy.value
