"""What a search's workers do: score a network.

The task is a small value that travels; the images are loaded once in each worker.
"""

import os
import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import cast

from bneck.errors import ProxyFailed, UsageError
from bneck.machine import ONE_THREAD, Compute
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.worker_images import WorkerImages, in_folds
from bneck.proxies.proxy import Proxy, find_proxy, own_code
from bneck.proxies.training.device import torch_device
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.search.label import CODE, WEIGHTS, Label
from bneck.search.promotion import steps_on
from bneck.search.quantised import label_of
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.space.backends.parent import Parent
from bneck.space.backends.torch_model import build


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
            return self.trained(arch, images, self.recipe, self.seed)
        proxy = find_proxy(self.proxy)(images, self.recipe, compute=self.compute)
        accuracy = float(proxy(arch, seed=self.seed))
        code = own_code(self.proxy)
        by = {} if code is None else {CODE: code}
        return Label(accuracy, {**_made_with(self.proxy, proxy), **by})

    def trained(
        self,
        arch: Architecture,
        images: ImageSource,
        recipe: Recipe,
        seed: int,
        checkpoint: Path | None = None,
    ) -> Label:
        """Train from the weights that all begin with, and count the accuracy as asked.

        Args:
            arch: the network.
            images: one fold of those that it is trained and judged on.
            recipe: of this training.
            seed: of its random choices.
            checkpoint: file that keeps it while it runs.

        Raises:
            ProxyFailed: it diverged, or the network cannot be quantised.
        """
        arch = arch.at(classes=images.info.classes)
        network = build(arch, seed=seed)
        if self.parent is not None:
            network.load_state_dict(self.parent.weights_for(arch, seed=seed).state)
        result = train(
            network, images, recipe, seed=seed, checkpoint=checkpoint, compute=self.compute
        )
        label = label_of(result, network, images, self.score_as, seed)
        if self.parent is None:
            return label
        return Label(label.accuracy, {**label.made_with, WEIGHTS: self.parent.digest})


@dataclass(frozen=True, slots=True)
class TrainOnRungs:
    """Short trainings, and longer ones of the networks that are promoted (``promotion``).

    Each is a training of its own from its first step, as long as its rung says, so that a label is
    what such a training ends with. Its random choices are its own too.

    Attributes:
        short: the training of the first rung, which decides all but the others' length and seed.
        folder: keeps the checkpoints of a network's trainings until they are all done, on machines
            that have the folder around it.
        most_steps: no training is longer, whatever its rung.
    """

    short: Evaluate
    folder: Path
    most_steps: int

    def load(self) -> None:
        """Have the images in memory; raises UsageError as in ``Evaluate``."""
        self.short.load()

    def __call__(self, arch: Architecture, rung: int = 0) -> Label:
        """Train a network for the steps of a rung; raises ProxyFailed where that diverges.

        Checkpoints are kept until all folds are judged, or one of them failed.
        """
        recipe, seed = self.short.recipe, self.short.seed + rung
        steps = steps_on(rung, recipe.steps, self.most_steps)
        name = f"{codec.key(arch)}-{rung}"
        kept = self._keeps_checkpoints()

        def trained(fold: int, images: ImageSource) -> Label:
            checkpoint = self.folder / f"{name}-{fold}.checkpoint" if kept else None
            return self.short.trained(arch, images, replace(recipe, steps=steps), seed, checkpoint)

        try:
            label = _over_folds(self.short.images, trained)
        except ProxyFailed:
            self._forget(name)
            raise
        self._forget(name)
        return Label(label.accuracy, {**label.made_with, "steps": str(steps)})

    def _keeps_checkpoints(self) -> bool:
        """Make their folder, and return whether it can be used: a node may not see the run."""
        with suppress(OSError):
            self.folder.mkdir(exist_ok=True)
        return os.access(self.folder, os.W_OK)

    def _forget(self, name: str) -> None:
        """Remove the checkpoints of trainings whose outcome is known."""
        with suppress(OSError):  # a node that may not see the run has kept none
            for checkpoint in self.folder.glob(f"{name}-*.checkpoint"):
                checkpoint.unlink(missing_ok=True)


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


def _made_with(word: str, proxy: Proxy) -> Mapping[str, str]:
    """What a proxy says that it scored with; a journal with anything but text is not read again."""
    said = getattr(proxy, "made_with", {})
    texts = isinstance(said, Mapping) and all(isinstance(one, str) for one in chain(*said.items()))
    if not texts:
        raise UsageError(f"made_with of proxy {word!r} must map text to text, got {said!r:.80}")
    return cast(Mapping[str, str], said)


def _check_device(compute: Compute, labels_of: str | None) -> None:
    kind = torch_device(compute.device).type
    if labels_of not in (None, kind):
        raise UsageError(
            f"--device {compute.device} is {kind} on {platform.node()}, and the search's "
            f"labels are of {labels_of}: mix both with --mix-devices"
        )
