"""The one trainer: short training, fine-tuning and the final training are recipes of it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bneck.errors import ProxyFailed, UsageError
from bneck.progress import Progress, silent
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.steps import Lesson, Steps, labels_only
from bneck.proxies.training.threads import at_most
from bneck.quantities import Accuracy

_PIXELS_AT_ONCE = 2**19  # in evaluation: 512 images of 32 px, 10 of 224


@dataclass(frozen=True)
class TrainingResult:
    """What a training came to on the validation images."""

    accuracy: Accuracy
    loss: float  # validation cross-entropy, in nats
    steps: int
    seconds: float  # of training, over all sessions, without the evaluation
    images_per_second: float
    history: tuple[tuple[int, float], ...]  # (step, mean training loss since the point before)
    losses: Tensor = field(repr=False, compare=False)  # (validation images,) cross-entropies


class Evaluation(NamedTuple):
    """What a network is worth on the validation images."""

    accuracy: Accuracy  # with the binomial standard error
    loss: float  # mean cross-entropy, in nats
    losses: Tensor  # (images,) cross-entropies, by which two networks can be compared in pairs


def train(
    network: nn.Module,
    images: ImageSource,
    recipe: Recipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
    progress: Progress = silent,
    threads: int | None = None,
    lesson: Lesson = labels_only,
) -> TrainingResult:
    """Train ``network`` in place and measure it on the validation part.

    The network takes (N, 3, H, W) float images and gives (N, classes) logits; it becomes
    channels_last, which trains about three times as fast on a CPU. With ``recipe.ema`` it ends with
    the averaged weights. Batches, augmentation and dropout of a step depend on (seed, step) only,
    so a training that goes on from its ``checkpoint`` (written about every 20 seconds, at the end
    and on Ctrl-C) ends with the weights of one that never stopped.

    Args:
        threads: torch's threads while this runs; None leaves torch's own number.
        lesson: what a step learns from.

    Raises:
        ProxyFailed: the loss is no longer finite.
        UsageError: the network's outputs do not fit the classes, or the checkpoint is another's.
    """
    network.to(memory_format=torch.channels_last)
    _check_outputs(network, images)
    with at_most(threads), torch.random.fork_rng(devices=[]):
        run = Steps(network, images, recipe, seed, checkpoint, lesson)
        run.go(progress)
        accuracy, loss, losses = evaluate(network, images)
    rate = recipe.steps * run.batches.batch_size / run.seconds
    history = tuple(run.history)
    return TrainingResult(accuracy, loss, recipe.steps, run.seconds, rate, history, losses)


def evaluate(network: nn.Module, images: ImageSource, *, threads: int | None = None) -> Evaluation:
    """How good the network is on the validation part.

    Raises:
        ProxyFailed: the loss is not finite.
    """
    correct, count, found = 0, len(images.val), []
    at_once = max(1, _PIXELS_AT_ONCE // images.info.resolution_px**2)
    with at_most(threads), _evaluating(network):
        for pixels, labels in images.val.chunks(at_once):
            logits = network(images.normalise(pixels))
            correct += int((logits.argmax(1) == labels).sum())
            found.append(cross_entropy(logits, labels, reduction="none"))
    losses = torch.cat(found)
    loss = float(losses.double().mean())
    if not math.isfinite(loss):
        raise ProxyFailed(
            f"the validation loss on {images.info.name} is {loss}: the network diverged"
        )
    share = correct / count
    accuracy = Accuracy(share, math.sqrt(share * (1 - share) / count))
    return Evaluation(accuracy, loss, losses)


def _check_outputs(network: nn.Module, images: ImageSource) -> None:
    with _evaluating(network):
        outputs = network(images.normalise(images.val.pixels(torch.tensor([0])))).shape[-1]
    info = images.info
    if outputs != info.classes:
        raise UsageError(
            f"the network has {outputs} outputs and {info.name} has {info.classes} classes"
        )


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(was_training)
