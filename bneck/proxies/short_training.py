"""Accuracy after a short training: the proxy that costs most and assumes least."""

from collections.abc import Mapping

from bneck.machine import ONE_THREAD, Compute
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.proxy import needed
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.space.architecture import Architecture
from bneck.space.backends.torch_model import build


class ShortTraining:
    """Train from scratch for a few steps; score the averaged weights on the validation part.

    Give it ``ImageSource.for_search``: the final validation images must not choose a network.

    Attributes:
        made_with: the last training's device and precision, as in ``TrainingResult``.
    """

    def __init__(
        self,
        images: ImageSource | None,
        recipe: Recipe | None = None,
        *,
        compute: Compute = ONE_THREAD,
    ) -> None:
        self.images = needed(images, "short-training", "images")
        self.recipe = needed(recipe, "short-training", "a recipe")
        self.compute = compute
        self.made_with: Mapping[str, str] = {}

    def __call__(self, arch: Architecture, *, seed: int) -> float:
        """Return the validation accuracy, 0 to 1; ``seed`` decides weights and batches.

        Raises:
            ProxyFailed: the training diverged.
        """
        network = build(arch.at(classes=self.images.info.classes), seed=seed)
        result = train(network, self.images, self.recipe, seed=seed, compute=self.compute)
        self.made_with = result.made_with
        return result.accuracy.value
