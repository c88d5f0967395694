"""The training loop: short training, fine-tuning and final training are recipes of it."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bneck.errors import ProxyFailed, UsageError
from bneck.machine import CPU, Compute, cores
from bneck.progress import Progress, silent
from bneck.proxies.data.augmentation import AUGMENTATION
from bneck.proxies.data.batches import Batches, seeded
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.checkpoint import TrainingState, digest, interrupts_wait
from bneck.proxies.training.device import torch_device
from bneck.proxies.training.distributed import (
    gathered,
    in_any_process,
    in_parallel,
    mean_over_processes,
    own_rows,
    processes,
    rank,
)
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.threads import Threads
from bneck.quantities import Accuracy

SECONDS_BETWEEN_CHECKPOINTS = 20.0
_PIXELS_AT_ONCE = 2**19  # in evaluation: 512 images of 32 px, 10 of 224

Backpropagate = Callable[[nn.Module, Tensor, Tensor, int], Tensor]
"""(network, pixels, labels, step) -> the batch's mean loss; leaves gradients in the parameters."""


@dataclass(frozen=True)
class Evaluation:
    """How good a network is on the validation images.

    Attributes:
        accuracy: share classified right, 0 to 1, with its binomial standard error.
        loss: mean cross-entropy, in nats.
        losses: (images,) cross-entropies, by which two networks can be compared in pairs.
    """

    accuracy: Accuracy
    loss: float
    losses: Tensor = field(repr=False, compare=False)


@dataclass(frozen=True)
class TrainingResult(Evaluation):
    """A trained network's evaluation, and what the training took.

    Attributes:
        seconds: of the training steps, over all sessions, without the evaluation.
    """

    steps: int
    seconds: float
    images_per_second: float


def train(
    network: nn.Module,
    images: ImageSource,
    recipe: Recipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
    progress: Progress = silent,
    compute: Compute = CPU,
    backpropagate: Backpropagate | None = None,
) -> TrainingResult:
    """Train ``network`` in place and evaluate it on the validation images.

    The network becomes channels_last, which trains about three times as fast on a CPU. Batches,
    augmentation and dropout of a step depend on (seed, step) only, so a training that resumes from
    its checkpoint ends with the weights of one that was never interrupted.

    Args:
        network: takes (B, 3, H, W) float images, returns (B, ``images.info.classes``) logits.
        images: trains on the training part, evaluates on the validation part.
        recipe: steps, batch size, optimiser; with ``ema`` the averaged weights are the result.
        seed: decides batches, augmentation and dropout.
        checkpoint: file to resume from; written about every 20 seconds, at the end and on Ctrl-C.
        progress: told of every step.
        compute: device and threads to train with.
        backpropagate: forward and backward pass of a batch; None is cross-entropy with the labels.

    Raises:
        ProxyFailed: the loss is no longer finite.
        UsageError: the network's outputs do not fit the classes, or the checkpoint was made with
            something else.
    """
    if backpropagate is None:
        backpropagate = partial(learn_labels, label_smoothing=recipe.label_smoothing)
    network.to(memory_format=torch.channels_last)
    with computing(compute):
        _check_outputs(network, images)
        batches = Batches(
            images,
            recipe.batch_size,
            seed,
            recipe.augmentation,
            rank=rank(),
            processes=processes(),
        )
        optimizer = recipe.optimizer_for(network)
        average = None if recipe.ema is None else WeightAverage(network, recipe.ema)
        state = TrainingState(network, optimizer, average.tensors if average else {})
        if checkpoint is not None:
            state.resume(checkpoint, _made_with(recipe, seed, images, network))
        threads = Threads(compute, state.threads)
        network.train()
        saved = time.monotonic()
        with interrupts_wait() as interrupted, in_parallel(network) as parallel:
            step = TrainingStep(parallel, optimizer, average, backpropagate)
            while state.step < recipe.steps and not in_any_process(interrupted()):
                began = time.monotonic()
                threads.set()
                pixels, labels = batches[state.step]  # (B, 3, H, W) normalised, (B,)
                step.prepare(state.step, recipe, seed)
                loss = mean_over_processes(step(pixels, labels, state.step))
                _check_loss(loss, state.step, recipe)
                state.step += 1
                now = time.monotonic()
                state.seconds += now - began
                threads.took(now - began)
                state.threads = threads.chosen
                progress("training", state.step, recipe.steps, f"loss {loss:.3f}")
                if now - saved > SECONDS_BETWEEN_CHECKPOINTS:
                    state.save()
                    saved = now
            state.save()
        if state.step < recipe.steps:  # another process was interrupted
            raise KeyboardInterrupt
        if average is not None:
            average.copy_to(network)
        found = _evaluate(network, images)
    rate = recipe.steps * batches.batch_size / state.seconds
    return TrainingResult(
        found.accuracy, found.loss, found.losses, recipe.steps, state.seconds, rate
    )


class TrainingStep:
    """Forward, loss, backward, optimiser and average on one batch.

    What changes from step to step is set by ``prepare``, so that a GPU can capture the call once
    and replay it.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: "WeightAverage | None",
        backpropagate: Backpropagate,
    ) -> None:
        self.network, self.optimizer, self.average = network, optimizer, average
        self.backpropagate = backpropagate

    def prepare(self, step: int, recipe: Recipe, seed: int) -> None:
        """Set learning rate, averaging and random state for step 0 to ``recipe.steps - 1``."""
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(step)
        if self.average is not None:
            self.average.prepare(step + 1)
        torch.default_generator.set_state(seeded(seed, 2, step).get_state())

    def __call__(self, pixels: Tensor, labels: Tensor, step: int) -> Tensor:
        """Train on (B, 3, H, W) pixels and (B,) labels; return the loss before the step."""
        self.optimizer.zero_grad()
        loss = self.backpropagate(self.network, pixels, labels, step)  # ()
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        return loss


def learn_labels(
    network: nn.Module, pixels: Tensor, labels: Tensor, step: int, *, label_smoothing: float
) -> Tensor:
    """Cross-entropy with the labels: the ``Backpropagate`` of a usual training."""
    logits = network(pixels)  # (B, 3, H, W) -> (B, classes)
    loss = cross_entropy(logits, labels, label_smoothing=label_smoothing)  # ()
    loss.backward()
    return loss.detach()


def evaluate(network: nn.Module, images: ImageSource, *, compute: Compute = CPU) -> Evaluation:
    """Evaluate a network on the validation images.

    Raises:
        ProxyFailed: the loss is not finite.
    """
    with computing(compute):
        return _evaluate(network, images)


def _evaluate(network: nn.Module, images: ImageSource) -> Evaluation:
    parts = []
    own = images.val if processes() == 1 else images.val.take(own_rows(len(images.val)))
    at_once = max(1, _PIXELS_AT_ONCE // images.info.resolution_px**2)
    with _evaluating(network):
        for pixels, labels in own.chunks(at_once):  # uint8 (B, 3, H, W), (B,)
            logits = network(images.normalise(pixels))  # (B, classes)
            right = logits.argmax(1) == labels
            parts.append(torch.stack([cross_entropy(logits, labels, reduction="none"), right]))
    losses, right = gathered(torch.cat(parts, 1), len(images.val))  # (images,) each
    loss = float(losses.double().mean())
    if not math.isfinite(loss):
        raise ProxyFailed(
            f"the validation loss on {images.info.name} is {loss}: the network diverged"
        )
    share = int(right.sum()) / len(losses)
    stderr = math.sqrt(share * (1 - share) / len(losses))
    return Evaluation(Accuracy(share, stderr), loss, losses)


class WeightAverage:
    """An exponential moving average of a network's weights and buffers (EMA).

    The decay of update n is ``min(decay, (1 + n) / (10 + n))``, so that the first, random weights
    are forgotten early.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._share = 0.0  # of the network's present weights in the next update
        # The parameters themselves: detached from them, a tensor would be left behind when the
        # network changes its memory format.
        self._live = network.state_dict(keep_vars=True)
        self.tensors = {name: t.detach().clone() for name, t in self._live.items()}
        floats = [name for name, t in self._live.items() if t.is_floating_point()]
        self._floats = [self.tensors[n] for n in floats], [self._live[n] for n in floats]
        self._counters = [name for name in self._live if name not in floats]

    def prepare(self, number: int) -> None:
        """Set the decay of update ``number``, counted from 1."""
        self._share = 1 - min(self.decay, (1 + number) / (10 + number))

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's present weights."""
        torch._foreach_lerp_(*self._floats, self._share)
        for name in self._counters:
            self.tensors[name].copy_(self._live[name])

    def copy_to(self, network: nn.Module) -> None:
        """Replace the network's weights and buffers by their averages."""
        network.load_state_dict(self.tensors)


@contextmanager
def computing(compute: Compute) -> Iterator[torch.device]:
    """Use the threads of ``compute`` inside the block; leave torch's random state as it was.

    Yields:
        the device that ``compute`` names.

    Raises:
        UsageError: torch finds no such device on this machine.
    """
    device = torch_device(compute.device)
    before = torch.get_num_threads()
    torch.set_num_threads(compute.threads or min(before, cores()))
    try:
        with torch.random.fork_rng(devices=[] if device.type == "cpu" else [device]):
            yield device
    finally:
        torch.set_num_threads(before)


def _check_loss(loss: float, step: int, recipe: Recipe) -> None:
    if not math.isfinite(loss):
        raise ProxyFailed(
            f"training diverged: the loss is {loss} at step {step + 1} of {recipe.steps} with "
            f"learning rate {recipe.learning_rate_at(step):.2g}; "
            f"a peak below {recipe.learning_rate:g} may help"
        )


def _made_with(
    recipe: Recipe, seed: int, images: ImageSource, network: nn.Module
) -> dict[str, Any]:
    """What a training must share with a checkpoint to resume from it."""
    fields = asdict(recipe)
    if recipe.augmentation == AUGMENTATION:  # older checkpoints know no other
        del fields["augmentation"]
    return {
        **fields,
        "seed": seed,
        "images of fingerprint": images.info.fingerprint,
        "starting weights": digest(network),
    }


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
