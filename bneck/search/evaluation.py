"""What a search's workers do: score a network.

The task is a small value that travels; the images are loaded once in each worker.
"""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bneck.errors import UsageError
from bneck.machine import ONE_THREAD, Compute
from bneck.proxies.data.worker_images import WorkerImages, for_proxies
from bneck.proxies.proxy import find_proxy
from bneck.proxies.training.device import torch_device
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import evaluate, train
from bneck.search.label import Label
from bneck.space.architecture import Architecture
from bneck.space.backends.parent import Parent
from bneck.space.backends.torch_model import Network, build

NINTHS = 9
SHORT_TRAINING = "short-training"


@dataclass(frozen=True, slots=True)
class Evaluate:
    """The cheap accuracy of an architecture.

    Attributes:
        images: what it is counted on.
        proxy: a word of ``PROXIES``, or another that ``find_proxy`` takes.
        recipe: of a training.
        seed: of all random choices.
        compute: device and threads of a training.
        parent: the trained network whose weights a short training begins with; else random ones.
        labels_of: kind of device that the search's labels so far were trained on, where labels of
            other kinds are refused.
    """

    images: WorkerImages
    proxy: str
    recipe: Recipe
    seed: int
    compute: Compute = ONE_THREAD
    labels_of: str | None = None
    parent: Parent | None = None

    def load(self) -> None:
        """Have the images in memory, before any evaluation is timed.

        Raises:
            UsageError: this machine lacks the device or the images, or would train on another
                kind of device than the labels so far.
        """
        kind = torch_device(self.compute.device).type
        if self.labels_of not in (None, kind):
            raise UsageError(
                f"--device {self.compute.device} is {kind} on {platform.node()}, and the search's "
                f"labels are of {self.labels_of}: mix both with --mix-devices"
            )
        for_proxies(self.images)

    def __call__(self, arch: Architecture) -> Label:
        """Raises ProxyFailed where the network cannot be scored."""
        if self.parent is not None:
            network, images = self._network(arch), for_proxies(self.images)
            found = train(network, images, self.recipe, seed=self.seed, compute=self.compute)
            return Label(found.accuracy.value, found.made_with)
        proxy = find_proxy(self.proxy)(for_proxies(self.images), self.recipe, compute=self.compute)
        accuracy = float(proxy(arch, seed=self.seed))
        return Label(accuracy, dict(getattr(proxy, "made_with", {})))

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
        network = self._network(arch)
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

    def _network(self, arch: Architecture) -> Network:
        """The network to train, with the weights that it begins with."""
        wanted = arch.at(classes=for_proxies(self.images).info.classes)
        network = build(wanted, seed=self.seed)
        if self.parent is not None:
            network.load_state_dict(self.parent.weights_for(wanted, seed=self.seed).state)
        return network
