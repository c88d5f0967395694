"""The training loop: short training, fine-tuning and final training are recipes of it."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bneck import live
from bneck.errors import BneckError, ProxyFailed, UsageError
from bneck.machine import CPU, Compute
from bneck.progress import Progress, silent
from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.checkpoint import TrainingState, digest
from bneck.proxies.training.cuda import (
    CapturedStep,
    can_be_captured,
    convolution_paths,
    precision_for,
)
from bneck.proxies.training.device import computing, made_on
from bneck.proxies.training.distributed import (
    in_any_process,
    in_parallel,
    mean_over_processes,
    of_each_process,
    processes,
    rank,
)
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.step import Backpropagate, TrainingStep, WeightAverage, learn_labels
from bneck.proxies.training.strided_points import strided_points_subsampled
from bneck.proxies.training.teacher import Teacher
from bneck.proxies.training.threads import Threads
from bneck.proxies.training.validation import ValidationResult, evaluating, validated

SECONDS_BETWEEN_CHECKPOINTS = 20.0
_READ_EVERY = {"cpu": 1, "cuda": 10}  # steps; to read the loss, the host waits for the GPU


@dataclass(frozen=True)
class TrainingResult(ValidationResult):
    """A trained network's evaluation, and what the training took.

    Attributes:
        seconds: of the training steps, over all sessions, without the evaluation.
        threads: of the CPU, that the last step took.
        made_with: what accuracies must share to be compared closely: "device" (cpu or cuda),
            "precision" (fp32, tf32 or bf16), the GPU's name as "card", and, where a batch did not
            fit into its memory, into how many "pieces" it was cut, each with batch norm
            statistics of its own.
    """

    seconds: float
    threads: int
    made_with: Mapping[str, str]


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
    teacher: Teacher | None = None,
) -> TrainingResult:
    """Train ``network`` in place and evaluate it on the validation images.

    The network becomes channels_last, which trains about three times as fast on a CPU, and is on
    the CPU afterwards, wherever it was trained. Batches, augmentation and dropout of a step depend
    on (seed, step) only, so a training on a CPU that resumes from its checkpoint ends with the
    weights of one that was never interrupted. On a GPU, and where the number of threads is left
    open, the last bits may differ from run to run.

    Args:
        network: takes (B, 3, H, W) float images, returns (B, ``images.info.classes``) logits.
        images: trains on the training part, evaluates on the validation part.
        recipe: steps, batch size, optimiser; with ``ema`` the averaged weights are the result.
        seed: decides batches, augmentation and dropout.
        checkpoint: file to resume from; written about every 20 seconds, at the end and on Ctrl-C.
        progress: told of every step.
        compute: device and threads to train with.
        backpropagate: forward and backward pass of a batch; None is cross-entropy with the labels,
            which alone a GPU captures as a graph.
        teacher: a trained network whose outputs for the same augmented batches are learnt too.

    Raises:
        ProxyFailed: the loss is no longer finite.
        UsageError: the network's outputs do not fit the classes, or the checkpoint was made with
            something else.
        BneckError: several processes that train together see different checkpoints.
    """
    with computing(compute) as device:
        network.to("cpu").to(memory_format=torch.channels_last)
        _check_outputs(network, images)  # a GPU would prepare kernels for a batch of one
        network.to(device)
        shown = recipe.steps * recipe.batch_size
        precision = precision_for(device, shown, images.info.resolution_px)
        captured = can_be_captured(device, backpropagate, teacher) and processes() == 1
        if backpropagate is not None and precision == "bf16":
            precision = "tf32"  # bf16 is a matter of the pass that is ours
        backpropagate = backpropagate or partial(
            learn_labels,
            label_smoothing=recipe.label_smoothing,
            bf16=precision == "bf16",
            teacher=None if teacher is None else teacher.ready(images.info, device),
        )
        batches = Batches(
            images,
            recipe.batch_size,
            seed,
            recipe.augmentation,
            balanced=recipe.balanced,
            rank=rank(),
            processes=processes(),
            device=device,
        )
        optimizer = recipe.optimizer_for(network)
        average = None if recipe.ema is None else WeightAverage(network, recipe.ema)
        state = TrainingState(network, optimizer, average.tensors if average else {})
        if checkpoint is not None:
            state.resume(checkpoint, _made_with(recipe, seed, images, network, teacher))
            _check_same_step(state.step, checkpoint)
        threads = Threads(compute, state.threads, on_gpu=device.type == "cuda")
        network.train()
        with (
            live.interrupts_wait() as interrupted,
            in_parallel(network) as parallel,
            convolution_paths(network, precision),
            strided_points_subsampled(network),
        ):
            step = TrainingStep(parallel, optimizer, average, backpropagate)
            _take_steps(
                CapturedStep(step) if captured else step,
                batches,
                recipe,
                state,
                threads,
                seed=seed,
                progress=progress,
                interrupted=interrupted,
            )
            took = threads.chosen or torch.get_num_threads()
        if state.step < recipe.steps:  # another process was interrupted
            raise KeyboardInterrupt
        if average is not None:
            average.copy_to(network)
        found = validated(network, images, device)
        network.to("cpu")
    made_with = made_on(device) | {"precision": precision}
    if step.pieces > 1:
        made_with["pieces"] = str(step.pieces)
    return TrainingResult(**vars(found), seconds=state.seconds, threads=took, made_with=made_with)


def _take_steps(
    step: TrainingStep | CapturedStep,
    batches: Batches,
    recipe: Recipe,
    state: TrainingState,
    threads: Threads,
    *,
    seed: int,
    progress: Progress,
    interrupted: Callable[[], bool],
) -> None:
    """Take the steps that are left, until a signal comes to any process; then save the state.

    Args:
        step: trains on a batch.
        batches: one for each step.
        recipe: how many steps there are, and the learning rate of each.
        state: counts steps and seconds; it is saved about every 20 seconds.
        threads: how many the CPU takes.
        seed: decides dropout.
        progress: told of every step whose loss is read.
        interrupted: whether a signal came to this process.

    Raises:
        ProxyFailed: the loss is no longer finite.
    """
    saved = time.monotonic()
    while state.step < recipe.steps and not in_any_process(interrupted()):
        began = time.monotonic()
        threads.set()
        pixels, labels = batches[state.step]  # (B, 3, H, W) normalised, (B,)
        step.prepare(state.step, recipe, seed)
        loss = step(pixels, labels, state.step)  # (), on the device
        state.step += 1
        read = state.step % _READ_EVERY[pixels.device.type] == 0 or state.step == recipe.steps
        if read:
            mean = mean_over_processes(loss)  # waits for the device
            _check_loss(mean, state.step, recipe)
        now = time.monotonic()
        state.seconds += now - began
        threads.took(now - began)
        state.threads = threads.chosen
        if read:
            progress("training", state.step, recipe.steps, f"loss {mean:.3f}")
        if read and now - saved > SECONDS_BETWEEN_CHECKPOINTS:
            state.save()
            saved = now
    state.save()


def _check_same_step(step: int, checkpoint: Path) -> None:
    """Raise BneckError unless all processes begin with the same step: they would wait for ever."""
    steps = of_each_process(step)
    if len({*steps}) > 1:
        raise BneckError(
            f"the processes would resume at different steps ({', '.join(map(str, steps))}): "
            f"{checkpoint} must be on a file system that all of them share"
        )


def _check_loss(loss: float, step: int, recipe: Recipe) -> None:
    if not math.isfinite(loss):
        raise ProxyFailed(
            f"training diverged: the loss is {loss} at step {step} of {recipe.steps} with "
            f"learning rate {recipe.learning_rate_at(step - 1):.2g}; "
            f"a peak below {recipe.learning_rate:g} may help"
        )


def _made_with(
    recipe: Recipe, seed: int, images: ImageSource, network: nn.Module, teacher: Teacher | None
) -> dict[str, Any]:
    """Return what a training must share with a checkpoint to resume from it."""
    return {
        **asdict(recipe),
        "seed": seed,
        "images of fingerprint": images.info.fingerprint,
        "starting weights": digest(network),
        "teacher": None if teacher is None else teacher.digest(),
    }


def _check_outputs(network: nn.Module, images: ImageSource) -> None:
    with evaluating(network):
        pixels = images.val.pixels(torch.tensor([0]))
        outputs = network(images.normalise(pixels)).shape[-1]
    info = images.info
    if outputs != info.classes:
        raise UsageError(
            f"the network has {outputs} outputs and {info.name} has {info.classes} classes"
        )
