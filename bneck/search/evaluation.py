"""What a search's workers do: score a network.

The task is a small value that travels; the images are loaded once in each worker.
"""

import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bneck.errors import UsageError
from bneck.machine import ONE_THREAD, Compute
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.worker_images import WorkerImages, in_folds
from bneck.proxies.proxy import find_proxy
from bneck.proxies.training.device import torch_device
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.search.label import Label
from bneck.search.promotion import steps_on
from bneck.search.quantised import label_of
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.space.backends.parent import Parent
from bneck.space.backends.torch_model import Network, build


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Scores an architecture cheaply: the task of a search's workers.

    Attributes:
        images: what it is counted on.
        proxy: a word of ``PROXIES``, or another that ``find_proxy`` takes.
        recipe: of a training.
        seed: of all random choices.
        compute: device and threads of a training.
        parent: the trained network whose weights a short training begins with; else random ones.
        score_as: format in 8 bits that a short training's accuracy is counted in; None for floats.
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
    score_as: str | None = None

    def load(self) -> None:
        """Have the images in memory, before any evaluation is timed.

        Raises:
            UsageError: this machine lacks the device or the images, or would train on another
                kind of device than the labels so far.
        """
        _check_device(self.compute, self.labels_of)
        in_folds(self.images)

    def __call__(self, arch: Architecture) -> Label:
        """Raises ProxyFailed where the network cannot be scored."""
        return _over_folds(self.images, lambda fold, images: self._label(arch, images))

    def _label(self, arch: Architecture, images: ImageSource) -> Label:
        if self.parent is not None or self.score_as is not None:
            network = _network(arch.at(classes=images.info.classes), self.seed, self.parent)
            found = train(network, images, self.recipe, seed=self.seed, compute=self.compute)
            return label_of(found, network, images, self.score_as, self.seed)
        proxy = find_proxy(self.proxy)(images, self.recipe, compute=self.compute)
        accuracy = float(proxy(arch, seed=self.seed))
        return Label(accuracy, dict(getattr(proxy, "made_with", {})))


@dataclass(frozen=True, slots=True)
class TrainOnRungs:
    """Short trainings, and longer ones of the networks that are promoted (``promotion``).

    Each is a training of its own from its first step, as long as its rung says, so that a label is
    what such a training ends with. Its random choices are its own too.

    Attributes:
        folder: keeps a training's checkpoint while it runs.
        most_steps: no training is longer, whatever its rung.
        parent: the trained network whose weights all trainings begin with; else random ones.
        labels_of, score_as: as in ``Evaluate``.
    """

    images: WorkerImages
    recipe: Recipe
    seed: int
    folder: Path
    most_steps: int
    compute: Compute = ONE_THREAD
    labels_of: str | None = None
    parent: Parent | None = None
    score_as: str | None = None

    def load(self) -> None:
        """Have the images in memory; raises UsageError as in ``Evaluate``."""
        _check_device(self.compute, self.labels_of)
        in_folds(self.images)

    def __call__(self, arch: Architecture, rung: int = 0) -> Label:
        """Train a network for the steps of a rung; raises ProxyFailed where that diverges."""
        return _over_folds(self.images, lambda fold, images: self._label(arch, rung, fold, images))

    def _label(self, arch: Architecture, rung: int, fold: int, images: ImageSource) -> Label:
        arch, seed = arch.at(classes=images.info.classes), self.seed + rung
        steps = min(steps_on(rung, self.recipe.steps), self.most_steps)
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint = self.folder / f"{codec.key(arch)}-{rung}-{fold}.checkpoint"
        network = _network(arch, seed, self.parent)
        result = train(
            network,
            images,
            replace(self.recipe, steps=steps),
            seed=seed,
            checkpoint=checkpoint,
            compute=self.compute,
        )
        checkpoint.unlink(missing_ok=True)
        label = label_of(result, network, images, self.score_as, seed)
        return Label(label.accuracy, {**label.made_with, "steps": str(steps)})


def _over_folds(images: WorkerImages, label: Callable[[int, ImageSource], Label]) -> Label:
    """The share of all judging images that are classified right, each by the fold that left it out.

    Args:
        images: in one or several folds.
        label: trains and judges on one fold.
    """
    sources = in_folds(images)
    labels = [label(fold, source) for fold, source in enumerate(sources)]
    if len(labels) == 1:
        return labels[0]
    judged = [source.info.validation for source in sources]
    right = sum(one.accuracy * count for one, count in zip(labels, judged, strict=True))
    return Label(right / sum(judged), labels[0].made_with)


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
