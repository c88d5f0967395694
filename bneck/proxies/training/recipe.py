"""How to train: a recipe is a value, written into checkpoints and runs."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from bneck.proxies.data.augmentation_words import AUGMENTATION, check_augmentation
from bneck.proxies.data.image_info import ImageInfo
from bneck.proxies.training.adamw import AdamW
from bneck.space.checks import check_between, check_range


@dataclass(frozen=True)
class Recipe:
    """One training; the defaults suit mobile networks from 32 px up.

    The learning rate was measured: V3-Small on CIFAR-10 at 32 px, 8 epochs, reaches 57, 60 and 51 %
    with 1.5e-3, 3e-3 and 6e-3.
    """

    steps: int
    batch_size: int = 128
    learning_rate: float = 3e-3  # at the schedule's peak
    warmup: float = 0.3  # share of the steps before the peak
    weight_decay: float = 0.05  # on convolution and linear weights only, not on norms and biases
    label_smoothing: float = 0.1
    augmentation: str = AUGMENTATION  # words of ``AUGMENTATIONS`` joined by "+"
    ema: float | None = 0.98  # decay per step of the averaged weights and buffers; None for none
    balanced: bool = False  # whether batches show all classes equally often

    def __post_init__(self) -> None:
        check_range("steps", self.steps, 1, 100_000_000)
        check_range("batch size", self.batch_size, 2, 65536)
        check_between("learning rate", self.learning_rate, 1e-9, 100)
        check_between("warmup", self.warmup, 0, 1)
        check_between("weight decay", self.weight_decay, 0, 10)
        check_between("label smoothing", self.label_smoothing, 0, 0.9)
        check_augmentation(self.augmentation)
        if self.ema is not None:
            check_between("ema", self.ema, 0, 1)

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, 0 to ``steps - 1``."""
        return self.learning_rate * one_cycle(step, self.steps, self.warmup)

    def optimizer_for(self, network: nn.Module) -> torch.optim.Optimizer:
        """Make AdamW over ``network``'s parameters; vectors have no weight decay.

        On a GPU the learning rate is a tensor, so that a captured step reads it there.
        """
        parameters = [p for p in network.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        gpu = next((p.device for p in parameters if p.is_cuda), None)
        if gpu is None:
            return AdamW(groups, self.learning_rate, fused=True)
        rate = torch.tensor(self.learning_rate, device=gpu)
        return AdamW(groups, rate, fused=True, capturable=True)


def epochs(images: ImageInfo, count: float, batch_size: int = 128) -> int:
    """Return the number of steps that shows every training image ``count`` times.

    Args:
        images: whose training part is shown.
        count: how often, not necessarily a whole number.
        batch_size: images in a step.
    """
    return max(1, round(count * images.trained_on / batch_size))


def one_cycle(step: int, steps: int, warmup: float) -> float:
    """Return a share of the peak: a cosine from 1/25 up to 1, another down to 4e-6.

    Smith and Topin 2018, "Super-Convergence", as in torch.

    Args:
        step: 0 to ``steps - 1``.
        steps: of the whole training.
        warmup: share of the steps before the peak, 0 to 1.
    """
    peak, last = max(0.0, warmup * steps - 1), steps - 1
    if step < peak:
        return _cosine(1 / 25, 1.0, step / peak)
    return _cosine(1.0, 4e-6, (step - peak) / max(1e-9, last - peak))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
