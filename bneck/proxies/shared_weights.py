"""Weights that a whole space shares: one training, then seconds for each network's accuracy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from math import ceil
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bneck import records
from bneck.errors import ProxyFailed, UsageError, first_line
from bneck.files import short_sha256, write_whole
from bneck.json_text import parse_json
from bneck.machine import CPU, Compute
from bneck.progress import Progress, silent
from bneck.proxies.data.batches import seeded
from bneck.proxies.data.file_list import Stamp, stamp_of
from bneck.proxies.data.image_info import ImageInfo
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.proxy import SCORED_ON, ProxyFactory, needed, shared_weights_file
from bneck.proxies.training.device import computing
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import TrainingResult, train
from bneck.proxies.training.validation import evaluate
from bneck.space.architecture import Architecture
from bneck.space.backends.supernet import Supernet, extract, part
from bneck.space.backends.weights import State
from bneck.space.choices import Space

RANDOM = 2  # networks besides the largest and the smallest in each step
RECALIBRATED_ON = 1024  # training images
_BATCH = 128
ABOUT = "shared_weights"
"""Where ``AboutShared`` is in the file's header."""


@dataclass(frozen=True, slots=True)
class AboutShared:
    """What a file of shared weights says of itself.

    Attributes:
        classes: that its networks tell apart.
        mean, std: what images were normalised with, by channel, on the scale 0 to 1.
        steps, seconds, threads: that its training took.
    """

    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    steps: int
    seconds: float
    threads: int


def train_elastic(
    space: Space,
    images: ImageSource,
    recipe: Recipe,
    path: Path,
    *,
    checkpoint: Path,
    seed: int = 0,
    progress: Progress = silent,
    compute: Compute = CPU,
) -> TrainingResult:
    """Train weights for all networks of ``space`` together, and write them to ``path``.

    Every step follows the sandwich rule with in-place distillation (Yu and Huang 2019,
    "Universally Slimmable Networks", section 3; Yu et al. 2020, "BigNAS", section 3.1): the largest
    network learns from the labels, the smallest and two random ones from the largest one's outputs.
    Each network trains views of the same tensors. Interrupted, the same call resumes. The result's
    accuracy means little, since batch norms are not recalibrated.

    Args:
        space: whose networks share the weights.
        images: to train on; their side and classes must be the space's.
        recipe: of the training; a step trains four networks.
        path: the file to write.
        checkpoint: file to resume from; the caller removes it.
        seed: decides weights, batches and the random networks.
        progress: told of every step.
        compute: device and threads to train with.

    Raises:
        ProxyFailed: the training diverged.
        UsageError: the checkpoint was made with something else.
    """
    network = Supernet(space, seed=seed)
    result = train(
        network,
        images,
        recipe,
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
        compute=compute,
        backpropagate=partial(_sandwich, space, seed, recipe.label_smoothing),
    )
    about = AboutShared(
        network.largest.classes,
        images.info.mean,
        images.info.std,
        recipe.steps,
        round(result.seconds, 1),
        result.threads,
    )
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    write_whole(path, save(tensors, {ABOUT: json.dumps(records.to_json(about))}))
    return result


def _sandwich(
    space: Space,
    seed: int,
    label_smoothing: float,
    network: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    step: int,
) -> Tensor:
    """Add up the gradients of four networks; return the largest one's loss."""
    assert isinstance(network, Supernet)
    logits = network.run(network.largest, pixels)  # (B, 3, H, W) -> (B, classes)
    loss = cross_entropy(logits, labels, label_smoothing=label_smoothing)
    loss.backward()
    teacher = logits.detach().softmax(1)  # (B, classes)
    numbers = torch.randint(2**31, (RANDOM,), generator=seeded(seed, 5, step)).tolist()
    for arch in (network.smallest, *(space.decode(space.sample(number)) for number in numbers)):
        cross_entropy(network.run(arch, pixels), teacher).backward()
    return loss.detach()


def load(run: Path) -> tuple[AboutShared, State]:
    """Read the shared weights in a run's folder: what they say of themselves, and the tensors.

    Raises:
        UsageError: there is no such file, or it holds something else.
    """
    path = shared_weights_file(run)
    return _load(path, stamp_of(path.stat()))


def check_classes(run: Path, images: ImageInfo) -> None:
    """Raise UsageError where the shared weights in a run's folder are for other classes."""
    about, _ = load(run)
    if about.classes != images.classes:
        raise UsageError(
            f"{run} was trained for {about.classes} classes, {images.name} has {images.classes}"
        )


def check_space(run: Path, largest: Architecture) -> None:
    """Raise UsageError where a run's shared weights lack the largest network of a space."""
    try:
        part(load(run)[1], largest)
    except ProxyFailed as error:
        raise UsageError(f"{run} was trained for another space: {error}") from None


@lru_cache(maxsize=2)
def _load(path: Path, stamp: Stamp) -> tuple[AboutShared, State]:
    try:
        with safe_open(path, "pt") as file:
            about = records.from_json(AboutShared, parse_json((file.metadata() or {})[ABOUT]))
            return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError, UsageError) as error:
        raise UsageError(f"{path} is not a file of shared weights: {first_line(error)}") from None


@lru_cache(maxsize=2)
def _digest(path: Path, stamp: Stamp) -> str:
    return short_sha256(path)


class SharedWeights:
    """The accuracy that a network has with weights that its whole space shares.

    Batch norms are recalibrated on 1,024 training images; the accuracy is measured on at most 2,000
    validation images.

    Attributes:
        made_with: the SHA-256 of the last score's weights, which may be trained again.
    """

    def __init__(
        self,
        run: Path,
        images: ImageSource | None,
        recipe: Recipe | None = None,
        *,
        compute: Compute = CPU,
    ) -> None:
        self.run, self.compute = run, compute
        self.images = needed(images, "shared-weights", "images")
        self.made_with: Mapping[str, str] = {}

    def __call__(self, arch: Architecture, *, seed: int) -> float:
        """Return the accuracy, 0 to 1; ``seed`` decides which images are used.

        Raises:
            ProxyFailed: the network is outside the space that the weights were trained for.
            UsageError: the weights were trained for another number of classes.
        """
        about, shared = load(self.run)
        file = shared_weights_file(self.run)
        self.made_with = {"weights": _digest(file, stamp_of(file.stat()))}
        info = self.images.info
        check_classes(self.run, info)
        network = extract(shared, arch.at(classes=info.classes))
        few = self.images.normalised_with(about.mean, about.std)
        few = few.subset(seed=seed, train=RECALIBRATED_ON, val=SCORED_ON)
        with computing(self.compute) as device:
            recalibrate(network.to(device), few)
            return evaluate(network, few, compute=self.compute).accuracy.value


def of_run(run: Path) -> ProxyFactory:
    """Return the proxy that ``shared-weights:RUN`` names.

    Raises:
        UsageError: there is no such run, or it has no weights that its space shares.
    """
    load(run)
    return partial(SharedWeights, run)


@torch.no_grad()
def recalibrate(network: nn.Module, images: ImageSource) -> None:
    """Set batch norms to the plain average of their statistics over the training images.

    The batches are of equal size, give or take one image: in one of a single image, channels may
    have a single value, which has no variance.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    device = next(network.parameters()).device
    network.train()
    count = len(images.train)
    for rows in torch.arange(count).tensor_split(ceil(count / _BATCH)):
        network(images.normalise(images.train.pixels(rows).to(device)))
