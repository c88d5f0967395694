"""Accuracy with shared weights: one training for a whole space, then seconds for each network."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bneck.errors import UsageError
from bneck.files import write_whole
from bneck.progress import Progress, silent
from bneck.proxies.data.batches import seeded
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.supernet import Supernet
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.steps import Steps
from bneck.proxies.training.threads import at_most
from bneck.proxies.training.trainer import TrainingResult, evaluate, train
from bneck.space import spaces
from bneck.space.architecture import Architecture
from bneck.space.choices import Space

RANDOM = 2  # networks beside the largest and the smallest in each step
RECALIBRATED_ON, SCORED_ON = 1024, 2000  # training and validation images
_BATCH = 128


def share(
    space: Space,
    images: ImageSource,
    recipe: Recipe,
    path: Path,
    *,
    seed: int = 0,
    progress: Progress = silent,
    threads: int | None = None,
) -> TrainingResult:
    """Train shared weights for ``space`` and write them to ``path``.

    Every step learns by the sandwich rule with in-place distillation (Yu and Huang 2019,
    "Universally Slimmable Networks", section 3): the largest network from the labels, the smallest
    and two random ones from what the largest says. Interrupted, the same call goes on from
    ``path.checkpoint``. The result's accuracy means little, since batch norms are not recalibrated.

    Raises:
        ProxyFailed: the training diverged.
        UsageError: the checkpoint is another training's.
    """
    network = Supernet(space, seed=seed)
    checkpoint = path.with_name(f"{path.name}.checkpoint")
    result = train(
        network,
        images,
        recipe,
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
        threads=threads,
        lesson=partial(_sandwich, space),
    )
    words = {
        "space": space.name,
        "resolution_px": network.largest.resolution_px,
        "classes": network.largest.classes,
        "steps": recipe.steps,
        "images": images.info.fingerprint,
        "seconds": round(result.seconds, 1),
        "threads": threads or torch.get_num_threads(),
    }
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    write_whole(path, save(tensors, {"shared_weights": json.dumps(words)}))
    checkpoint.unlink(missing_ok=True)
    return result


def _sandwich(space: Space, steps: Steps, pixels: Tensor, labels: Tensor) -> float:
    network = steps.network
    assert isinstance(network, Supernet)
    logits = network.run(network.largest, pixels)
    loss = cross_entropy(logits, labels, label_smoothing=steps.recipe.label_smoothing)
    loss.backward()
    taught = logits.detach().softmax(1)
    draw = seeded(steps.seed, 5, steps.step)
    numbers = torch.randint(2**31, (RANDOM,), generator=draw).tolist()
    for arch in (network.smallest, *(space.decode(space.sample(number)) for number in numbers)):
        cross_entropy(network.run(arch, pixels), taught).backward()
    return loss.item()


def load(path: Path) -> Supernet:
    """Read what ``share`` wrote.

    Raises:
        UsageError: no file of shared weights, or of a space that has changed since.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return _load(path, stat.st_mtime_ns)


def about(path: Path) -> dict[str, Any]:
    """What a file of shared weights says of itself: space, size, and the price of its training."""
    return _read(path)[0]


@lru_cache(maxsize=2)
def _load(path: Path, changed: int) -> Supernet:
    words, tensors = _read(path)
    try:
        size = {"resolution_px": words["resolution_px"], "classes": words["classes"]}
        network = Supernet(spaces.build(words["space"], **size))
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _none(path, error) from None
    return network


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            words = json.loads((file.metadata() or {})["shared_weights"])
            return words, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise _none(path, error) from None


def _none(path: Path, error: Exception) -> UsageError:
    return UsageError(f"{path} is no file of shared weights: {str(error).splitlines()[0]}")


@dataclass(frozen=True)
class SharedWeights:
    """The accuracy that a network has with weights that its whole space shares.

    Batch norms are recalibrated on 1,024 training images, the accuracy is that on at most 2,000
    validation images.
    """

    images: ImageSource
    path: Path
    threads: int | None = None

    def __call__(self, arch: Architecture, *, seed: int) -> float:
        """From 0 to 1; ``seed`` decides which images are looked at.

        Raises:
            ProxyFailed: the network is outside the space that the weights are of.
            UsageError: the weights are of another number of classes.
        """
        shared = load(self.path)
        info = self.images.info
        if shared.largest.classes != info.classes:
            raise UsageError(
                f"{self.path} knows {shared.largest.classes} classes and {info.name} has "
                f"{info.classes}"
            )
        network = shared.extract(arch.at(classes=info.classes))
        few = self.images.subset(seed=seed, train=RECALIBRATED_ON, val=SCORED_ON)
        with at_most(self.threads):
            recalibrate(network, few)
            accuracy = evaluate(network, few).accuracy.value
        return accuracy


def of_file(place: str) -> Callable[..., SharedWeights]:
    """What ``shared-weights:FILE`` makes of images.

    Raises:
        UsageError: no such file, or another's.
    """
    path = Path(place)
    load(path)

    def make(
        images: ImageSource | None, recipe: Recipe | None = None, *, threads: int | None = None
    ) -> SharedWeights:
        if images is None:
            raise UsageError("shared weights need images")
        return SharedWeights(images, path, threads)

    return make


@torch.no_grad()
def recalibrate(network: nn.Module, images: ImageSource) -> None:
    """Give batch norms the plain average of their statistics over the training images."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    network.train()
    for pixels, _ in images.train.chunks(_BATCH):
        network(images.normalise(pixels))
