"""What a search's workers do: score a network.

The task is a small value that travels; the images are loaded once in each worker.
"""

import platform
from dataclasses import dataclass, replace
from pathlib import Path

from bneck.errors import UsageError
from bneck.machine import ONE_THREAD, Compute
from bneck.proxies.data.worker_images import WorkerImages, for_proxies
from bneck.proxies.proxy import find_proxy
from bneck.proxies.training.device import torch_device
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.search.label import Label
from bneck.search.promotion import steps_on
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.space.backends import weights
from bneck.space.backends.parent import Parent
from bneck.space.backends.torch_model import Network, build


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
        _check_device(self.compute, self.labels_of)
        for_proxies(self.images)

    def __call__(self, arch: Architecture) -> Label:
        """Raises ProxyFailed where the network cannot be scored."""
        if self.parent is not None:
            images = for_proxies(self.images)
            network = _network(arch.at(classes=images.info.classes), self.seed, self.parent)
            found = train(network, images, self.recipe, seed=self.seed, compute=self.compute)
            return Label(found.accuracy.value, found.made_with)
        proxy = find_proxy(self.proxy)(for_proxies(self.images), self.recipe, compute=self.compute)
        accuracy = float(proxy(arch, seed=self.seed))
        return Label(accuracy, dict(getattr(proxy, "made_with", {})))


@dataclass(frozen=True, slots=True)
class TrainOnRungs:
    """Short trainings that are continued where a network is promoted (``promotion``).

    A training ends with its learning rate near 0. To continue it, the averaged weights that it
    ended with are trained by the same recipe from its warm-up on (a warm restart: Loshchilov and
    Hutter 2017, arXiv 1608.03983), for the steps that the rung adds.

    Attributes:
        folder: keeps the weights of each rung, and a training's checkpoint while it runs; workers
            on other machines need it at the same path.
        parent: the trained network whose weights the first rung begins with; else random ones.
        labels_of: as in ``Evaluate``.
    """

    images: WorkerImages
    recipe: Recipe
    seed: int
    folder: Path
    compute: Compute = ONE_THREAD
    labels_of: str | None = None
    parent: Parent | None = None

    def load(self) -> None:
        """Have the images in memory; raises UsageError as in ``Evaluate``."""
        _check_device(self.compute, self.labels_of)
        for_proxies(self.images)

    def __call__(self, arch: Architecture, rung: int = 0) -> Label:
        """Train a network on a rung, from where it ended on the one below.

        Raises:
            ProxyFailed: the training diverged.
            UsageError: the weights of the rung below are not there.
        """
        images = for_proxies(self.images)
        arch = arch.at(classes=images.info.classes)
        network = _network(arch, self.seed, None if rung else self.parent)
        if rung:
            network.load_state_dict(weights.load(self._file(arch, rung - 1), arch))
        checkpoint = self._file(arch, rung).with_suffix(".checkpoint")
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        result = train(
            network,
            images,
            replace(self.recipe, steps=steps_on(rung, self.recipe.steps)),
            seed=self.seed + rung,  # other batches on each rung
            checkpoint=checkpoint,
            compute=self.compute,
        )
        weights.save(self._file(arch, rung), network.state_dict())
        checkpoint.unlink()
        steps = sum(steps_on(below, self.recipe.steps) for below in range(rung + 1))
        return Label(result.accuracy.value, {**result.made_with, "steps": str(steps)})

    def _file(self, arch: Architecture, rung: int) -> Path:
        return self.folder / f"{codec.key(arch)}-{rung}.safetensors"


def _network(arch: Architecture, seed: int, parent: Parent | None) -> Network:
    """The network to train, with the weights that it begins with."""
    network = build(arch, seed=seed)
    if parent is not None:
        network.load_state_dict(parent.weights_for(arch, seed=seed).state)
    return network


def _check_device(compute: Compute, labels_of: str | None) -> None:
    kind = torch_device(compute.device).type
    if labels_of not in (None, kind):
        raise UsageError(
            f"--device {compute.device} is {kind} on {platform.node()}, and the search's "
            f"labels are of {labels_of}: mix both with --mix-devices"
        )
