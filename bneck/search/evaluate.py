"""What workers do: score a network, or fine-tune a narrowed one.

Tasks are small values that travel; the images are loaded once in each worker.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bneck.proxies.data import loading
from bneck.proxies.data.image_set import ImageSet
from bneck.proxies.proxy import find_proxy
from bneck.proxies.training.recipe import Recipe
from bneck.netadapt.importance import taylor
from bneck.proxies.training.trainer import evaluate, train
from bneck.space.backends import torch_model, weights
from bneck.space.architecture import Architecture

NINTHS = 9
LOSSES = "losses"
"""Name of the one tensor in a file of losses."""


@dataclass(frozen=True, slots=True)
class Images:
    """Which images cheap signals see: a share of the training part, never the final validation.

    Attributes:
        signal_px: the side they train at; the final training uses ``resolution_px``.
        train, val: at most so many images of each part; None keeps all.
    """

    spec: str
    resolution_px: int
    signal_px: int
    seed: int
    train: int | None = None
    val: int | None = None


@lru_cache(maxsize=1)
def whole(images: Images) -> ImageSet:
    """All images, for final trainings, in this process's memory."""
    return loading.load(images.spec, resolution_px=images.resolution_px, seed=images.seed)


@lru_cache(maxsize=1)
def for_signals(images: Images) -> ImageSet:
    """The images of cheap signals, in this process's memory."""
    loaded = loading.load(images.spec, resolution_px=images.resolution_px, seed=images.seed)
    part = loaded.for_search(images.seed).subset(
        seed=images.seed, train=images.train, val=images.val
    )
    return part if images.signal_px == images.resolution_px else part.resized(images.signal_px)


@dataclass(frozen=True, slots=True)
class Score:
    """Accuracy from 0 to 1, with its standard error; cross-entropy in nats."""

    accuracy: float
    stderr: float
    loss: float


@dataclass(frozen=True, slots=True)
class Evaluate:
    """The cheap accuracy of an architecture."""

    images: Images
    proxy: str
    recipe: Recipe
    seed: int
    threads: int = 1

    def load(self) -> None:
        """Have the images in memory, before any evaluation is timed."""
        for_signals(self.images)

    def __call__(self, arch: Architecture) -> float:
        """Raises ProxyFailed where the network cannot be scored."""
        proxy = find_proxy(self.proxy)(for_signals(self.images), self.recipe, threads=self.threads)
        return float(proxy(arch, seed=self.seed))

    @property
    def steps(self) -> int:
        """Of one training."""
        return self.recipe.steps

    def train(
        self, arch: Architecture, checkpoint: Path, report: Callable[[int, float], None]
    ) -> float:
        """The same accuracy as a call's, of a training that can be looked at and goes on anywhere.

        Reports (step, accuracy so far) at every ninth of the steps, without the weights' average.

        Raises:
            ProxyFailed: the training diverged.
        """
        images = for_signals(self.images)
        network = torch_model.build(arch.at(classes=images.classes), seed=self.seed)
        every = max(1, self.steps // NINTHS)

        def look(what: str, done: int, total: int, note: str = "") -> None:
            if done % every == 0 and done < total:
                accuracy, *_ = evaluate(network, images, threads=self.threads)
                report(done, accuracy)

        return train(
            network,
            images,
            self.recipe,
            seed=self.seed,
            checkpoint=checkpoint,
            progress=look,
            threads=self.threads,
        ).accuracy


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A proposal to fine-tune, where its weights go, and where they come from if not inherited.

    ``losses`` is where the cross-entropy of each validation image goes.
    """

    arch: Architecture
    weights: Path
    losses: Path
    start: Path | None = None


@dataclass(frozen=True, slots=True)
class FineTune:
    """A few steps of training from the parent's weights, truncated (NetAdapt, section 3.2).

    ``importance`` names what decides which channels stay, one of the plan's ``IMPORTANCES``.
    """

    images: Images
    parent: Architecture
    parent_weights: Path
    recipe: Recipe
    seed: int
    importance: str = "l2"
    threads: int = 1

    def load(self) -> None:
        """Have the images in memory, before any fine-tuning is timed."""
        for_signals(self.images)

    def __call__(self, proposal: Narrowed) -> Score:
        """Raises ProxyFailed where the training diverges."""
        images = for_signals(self.images)
        network = torch_model.Network(proposal.arch)
        if proposal.start is None:
            network.load_state_dict(self.inherited(proposal.arch))
        else:
            network.load_state_dict(weights.load(proposal.start, proposal.arch))
        result = train(network, images, self.recipe, seed=self.seed, threads=self.threads)
        weights.save(proposal.weights, network.state_dict())
        weights.save(proposal.losses, {LOSSES: result.losses})
        return Score(result.accuracy, result.accuracy_stderr, result.loss)

    def inherited(self, arch: Architecture) -> weights.State:
        """The parent's weights with the most important channels, as many as ``arch`` has."""
        state = weights.load(self.parent_weights, self.parent)
        importance = None
        if self.importance == "taylor":
            importance = _taylor(self.parent, self.parent_weights, self.images, self.threads)
        return weights.inherit(self.parent, state, arch, seed=self.seed, importance=importance)


@lru_cache(maxsize=1)
def _taylor(
    parent: Architecture, parent_weights: Path, images: Images, threads: int
) -> weights.State:
    """Found once for all proposals of a step: each step's weights have a file of their own."""
    state = weights.load(parent_weights, parent)
    return taylor(parent, state, for_signals(images), seed=images.seed, threads=threads)
