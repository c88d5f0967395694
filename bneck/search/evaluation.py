"""What a search's workers do: score a network.

The task is a small value that travels; the images are loaded once in each worker.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bneck.machine import ONE_THREAD, Compute
from bneck.proxies.data.worker_images import WorkerImages, for_proxies
from bneck.proxies.proxy import find_proxy
from bneck.proxies.training.device import torch_device
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import evaluate, train
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model

NINTHS = 9


@dataclass(frozen=True, slots=True)
class Evaluate:
    """The cheap accuracy of an architecture."""

    images: WorkerImages
    proxy: str
    recipe: Recipe
    seed: int
    compute: Compute = ONE_THREAD

    def load(self) -> None:
        """Have the images in memory, before any evaluation is timed.

        Raises:
            UsageError: this machine lacks the device, or the images.
        """
        torch_device(self.compute.device)
        for_proxies(self.images)

    def __call__(self, arch: Architecture) -> float:
        """Raises ProxyFailed where the network cannot be scored."""
        proxy = find_proxy(self.proxy)(for_proxies(self.images), self.recipe, compute=self.compute)
        return float(proxy(arch, seed=self.seed))

    @property
    def steps(self) -> int:
        """Of one training."""
        return self.recipe.steps

    def train(
        self, arch: Architecture, checkpoint: Path, report: Callable[[int, float], None]
    ) -> float:
        """The same accuracy as a call's, of a training that can be looked at and resumed anywhere.

        Args:
            arch: the network.
            checkpoint: file of the training, which is resumed where it exists.
            report: told (step, accuracy so far, 0 to 1) at every ninth of the steps but not
                at the end, without the weights' average.

        Raises:
            ProxyFailed: the training diverged.
        """
        images = for_proxies(self.images)
        network = torch_model.build(arch.at(classes=images.info.classes), seed=self.seed)
        every = max(1, self.steps // NINTHS)

        def look(what: str, done: int, total: int, note: str = "") -> None:
            if done % every == 0 and done < total:
                report(done, evaluate(network, images, compute=self.compute).accuracy.value)

        return train(
            network,
            images,
            self.recipe,
            seed=self.seed,
            checkpoint=checkpoint,
            progress=look,
            compute=self.compute,
        ).accuracy.value
