"""Accuracy with shared weights: one training for a whole space, then seconds per network."""

import json
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
from bneck.machine import CPU, Compute
from bneck.progress import Progress, silent
from bneck.proxies.data.batches import seeded
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.proxy import ProxyFactory, needed
from bneck.proxies.supernet import Supernet
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import TrainingResult, computing, evaluate, train
from bneck.space import spaces
from bneck.space.architecture import Architecture
from bneck.space.choices import Space

RANDOM = 2  # networks besides the largest and the smallest in each step
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
    compute: Compute = CPU,
) -> TrainingResult:
    """Train shared weights for ``space`` and write them to ``path``.

    Every step follows the sandwich rule with in-place distillation (Yu and Huang 2019,
    "Universally Slimmable Networks", section 3): the largest network learns from the labels, the
    smallest and two random ones from the largest one's outputs. Interrupted, the same call resumes
    from ``path.checkpoint``. The result's accuracy means little, since batch norms are not
    recalibrated.

    Args:
        space: whose networks share the weights.
        images: to train on; their side and classes must be the space's.
        recipe: of the training; a step trains four networks.
        path: the file to write.
        seed: decides weights, batches and the random networks.
        progress: told of every step.
        compute: device and threads to train with.

    Raises:
        ProxyFailed: the training diverged.
        UsageError: the checkpoint was made with something else.
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
        compute=compute,
        backpropagate=partial(_sandwich, space, seed, recipe.label_smoothing),
    )
    words = {
        "space": space.name,
        "resolution_px": network.largest.resolution_px,
        "classes": network.largest.classes,
        "steps": recipe.steps,
        "images": images.info.fingerprint,
        "seconds": round(result.seconds, 1),
        "threads": compute.threads or torch.get_num_threads(),
    }
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    write_whole(path, save(tensors, {"shared_weights": json.dumps(words)}))
    checkpoint.unlink(missing_ok=True)
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


def load(path: Path) -> Supernet:
    """Read what ``share`` wrote.

    Raises:
        UsageError: it is not a file of shared weights, or its space has changed since.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return _load(path, stat.st_mtime_ns)


def about(path: Path) -> dict[str, Any]:
    """Return what a file says of itself: its space and size, and what its training took."""
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
    return UsageError(f"{path} is not a file of shared weights: {str(error).splitlines()[0]}")


class SharedWeights:
    """The accuracy that a network has with weights that its whole space shares.

    Batch norms are recalibrated on 1,024 training images; the accuracy is measured on at most 2,000
    validation images.
    """

    def __init__(
        self,
        path: Path,
        images: ImageSource | None,
        recipe: Recipe | None = None,
        *,
        compute: Compute = CPU,
    ) -> None:
        self.path, self.compute = path, compute
        self.images = needed(images, "shared-weights", "images")

    def __call__(self, arch: Architecture, *, seed: int) -> float:
        """Return the accuracy, 0 to 1; ``seed`` decides which images are used.

        Raises:
            ProxyFailed: the network is outside the space that the weights were trained for.
            UsageError: the weights were trained for another number of classes.
        """
        shared = load(self.path)
        info = self.images.info
        if shared.largest.classes != info.classes:
            raise UsageError(
                f"{self.path} was trained for {shared.largest.classes} classes, "
                f"{info.name} has {info.classes}"
            )
        network = shared.extract(arch.at(classes=info.classes))
        few = self.images.subset(seed=seed, train=RECALIBRATED_ON, val=SCORED_ON)
        with computing(self.compute) as device:
            recalibrate(network.to(device), few)
            return evaluate(network, few, compute=self.compute).accuracy.value


def of_file(place: str) -> ProxyFactory:
    """Return the proxy that ``shared-weights:FILE`` names.

    Raises:
        UsageError: there is no such file, or it holds something else.
    """
    path = Path(place)
    load(path)
    return partial(SharedWeights, path)


@torch.no_grad()
def recalibrate(network: nn.Module, images: ImageSource) -> None:
    """Set batch norms to the plain average of their statistics over the training images."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    device = next(network.parameters()).device
    network.train()
    for pixels, _ in images.train.chunks(_BATCH):
        network(images.normalise(pixels.to(device)))
