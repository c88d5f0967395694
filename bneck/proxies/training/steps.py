"""The steps of one training, and how it is stopped and gone on with."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bneck.errors import ProxyFailed
from bneck.progress import Progress
from bneck.proxies.data.batches import Batches, seeded
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.checkpoint import (
    digest,
    interrupts_wait,
    load_checkpoint,
    optimizer_tensors,
    read_counters,
    restore_optimizer,
    save_checkpoint,
)
from bneck.proxies.training.ema import WeightAverage
from bneck.proxies.training.recipe import Recipe

_SECONDS_BETWEEN_CHECKPOINTS = 20.0
_HISTORY_POINTS = 100

Lesson = Callable[["Steps", Tensor, Tensor], float]
"""(steps, pixels, labels) -> the loss; leaves its gradient in the network's parameters."""


def labels_only(steps: "Steps", pixels: Tensor, labels: Tensor) -> float:
    """What networks usually learn from: cross-entropy with the labels."""
    logits = steps.network(pixels)
    loss = cross_entropy(logits, labels, label_smoothing=steps.recipe.label_smoothing)
    loss.backward()
    return loss.item()


class Steps:
    """The state of one training between two steps, and how it is saved."""

    def __init__(
        self,
        network: nn.Module,
        images: ImageSource,
        recipe: Recipe,
        seed: int,
        checkpoint: Path | None,
        lesson: Lesson,
    ) -> None:
        self.lesson = lesson
        self.network, self.recipe, self.seed, self.checkpoint = network, recipe, seed, checkpoint
        self.batches = Batches(images, recipe.batch_size, seed)
        self.optimizer = recipe.optimizer_for(network)
        self.average = None if recipe.ema is None else WeightAverage(network, recipe.ema)
        self.step, self.seconds = 0, 0.0
        self.history: list[tuple[int, float]] = []
        self._losses: list[float] = []
        if checkpoint is not None:
            self._made_with = {
                **asdict(recipe),
                "seed": seed,
                "images of fingerprint": images.info.fingerprint,
                "starting weights": digest(network),
            }
            if checkpoint.exists():
                self._load(checkpoint)

    def go(self, progress: Progress) -> None:
        self.network.train()
        saved = time.monotonic()
        with interrupts_wait() as interrupted:
            while self.step < self.recipe.steps and not interrupted():
                began = time.monotonic()
                loss = self._advance()
                now = time.monotonic()
                self.seconds += now - began
                progress("training", self.step, self.recipe.steps, f"loss {loss:.3f}")
                if now - saved > _SECONDS_BETWEEN_CHECKPOINTS:
                    self._save()
                    saved = now
            self._save()
        if self.average is not None:
            self.average.copy_to(self.network)

    def _advance(self) -> float:
        pixels, labels = self.batches[self.step]
        learning_rate = self.recipe.learning_rate_at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        torch.default_generator.set_state(seeded(self.seed, 2, self.step).get_state())
        self.optimizer.zero_grad()
        value = self.lesson(self, pixels, labels)
        if not math.isfinite(value):
            raise ProxyFailed(
                f"training diverged: the loss is {value} at step {self.step + 1} of "
                f"{self.recipe.steps} with learning rate {learning_rate:.2g}; "
                f"a peak below {self.recipe.learning_rate:g} may help"
            )
        self.optimizer.step()
        self.step += 1
        if self.average is not None:
            self.average.update(self.step)
        self._note(value)
        return value

    def _note(self, loss: float) -> None:
        self._losses.append(loss)
        if self.step % math.ceil(self.recipe.steps / _HISTORY_POINTS) == 0:
            self.history.append((self.step, sum(self._losses) / len(self._losses)))
            self._losses.clear()

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        tensors = {f"network.{name}": t for name, t in self.network.state_dict().items()}
        tensors |= {f"optimizer.{k}": t for k, t in optimizer_tensors(self.optimizer).items()}
        if self.average is not None:
            tensors |= {f"average.{name}": t for name, t in self.average.tensors.items()}
        counters = [self.step, self.seconds, self.history, self._losses]
        save_checkpoint(self.checkpoint, tensors, counters, self._made_with)

    def _load(self, path: Path) -> None:
        tensors, counters = load_checkpoint(path, self._made_with)
        self.step, self.seconds, history, self._losses = counters
        self.history = [(step, loss) for step, loss in history]
        self.network.load_state_dict(_under("network.", tensors))
        restore_optimizer(self.optimizer, _under("optimizer.", tensors))
        if self.average is not None:
            for name, tensor in _under("average.", tensors).items():
                self.average.tensors[name].copy_(tensor)


def steps_done(checkpoint: Path) -> int | None:
    """How far the training of a checkpoint is; None where there is no such file (any more)."""
    counters = read_counters(checkpoint)
    return None if counters is None else int(counters[0])


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
