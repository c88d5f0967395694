"""The training budgets that follow from a plan and the images at hand."""

from dataclasses import dataclass
from math import ceil

from bneck.derivation.plan import Plan
from bneck.errors import UsageError
from bneck.proxies.data.augmentation_words import AUGMENTATION
from bneck.proxies.data.image_info import (
    HELD_OUT_EVERY,
    PROXY_TRAINING,
    PROXY_VALIDATION,
    ImageInfo,
    is_small,
)
from bneck.proxies.data.worker_images import WorkerImages
from bneck.proxies.training.recipe import Recipe, epochs

PROXY_PX = 96
"""Largest side that proxies train at."""
PHOTOS_FROM_PX = 96
"""Side from which on sets that are not small get the final training of photos."""
LONG = 40
"""Epochs from which on photos are varied by random resized crops and TrivialAugment."""
TUNING_RATE = 1e-3
"""Peak of the learning rate where trained weights are trained further."""
FEWEST_STEPS = 100
"""Fewest steps of a label from random weights. With 160 images of ten classes (Imagenette, 64 px)
three networks had 10, 14 and 15 % right after 23 steps, near chance, and 21 to 23 % after 60."""
INHERITED_SHARE, INHERITED_STEPS = 4, 50
"""Divisor of a label's steps where its weights are inherited, and the fewest steps then."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The images at hand, and how the three kinds of training are done on them.

    Small sets (under 5,000 images) are seen often in small batches; large ones are sampled.
    """

    images: WorkerImages
    search: Recipe
    fine_tune: Recipe
    final: Recipe

    @property
    def most_search_steps(self) -> int:
        """Steps of a search's training that shows as many images as the final one does."""
        shown = self.final.steps * self.final.batch_size
        return max(self.search.steps, shown // self.search.batch_size)


def budget(plan: Plan, images: ImageInfo) -> Budget:
    """The trainings of a plan: what the user asked for, else what suits the number of images.

    With a pretrained network, labels are short fine-tunings, and so is the final training.
    """
    count = images.trained_on
    small = is_small(count)
    batch = min(64 if small else 128, max(2, count // 4))
    worker_images = WorkerImages(
        spec=plan.data,
        resolution_px=images.resolution_px,
        proxy_px=min(images.resolution_px, PROXY_PX),
        seed=plan.seed,
        mean=images.mean,
        std=images.std,
        fingerprint=images.fingerprint,
        train=None if small else PROXY_TRAINING,
        val=None if small else PROXY_VALIDATION,
    )
    shown = count * (1 - 1 / HELD_OUT_EVERY)
    search_steps = max(FEWEST_STEPS, ceil(7 * shown / batch)) if small else 468
    search_rate = 3e-3
    if plan.pretrained is not None:
        search_steps = max(INHERITED_STEPS, search_steps // INHERITED_SHARE)
        search_rate = TUNING_RATE
    fine_tune_steps = plan.fine_tune_steps or (ceil(2 * shown / batch) if small else 100)
    return Budget(
        images=worker_images,
        search=Recipe(
            plan.search_steps or search_steps, batch, search_rate, balanced=plan.balanced
        ),
        fine_tune=Recipe(
            fine_tune_steps, batch, learning_rate=TUNING_RATE, ema=0.95, balanced=plan.balanced
        ),
        final=_final(plan, images, batch),
    )


def folds(plan: Plan, images: ImageInfo) -> int:
    """Return how many parts of the training images judge each network of the search in turn.

    Raises:
        UsageError: the plan asks for more than there are images for.
    """
    if plan.folds is None:
        return images.folds if plan.scores_by_training else 1
    if 2 * plan.folds > images.trained_on:
        raise UsageError(
            f"--folds {plan.folds} leaves less than two of {images.trained_on} training images in "
            "each part"
        )
    return plan.folds


def _final(plan: Plan, images: ImageInfo, batch: int) -> Recipe:
    """The recipe of the final training; photos have more variety and, up to 128 px, a larger batch.

    AdamW with 4e-3, batches of 256, an average of .998 and random resized crops took V3-Small to
    81.4 % of Imagenette at 128 px in 80 epochs; in 15 epochs such crops cost it 4.0 points.
    """
    small = is_small(images.trained_on)
    count = plan.epochs or (30 if small else 15)
    augmentation, rate = AUGMENTATION, 3e-3
    if images.resolution_px >= PHOTOS_FROM_PX and not small:
        if count >= LONG:
            augmentation = "random-resized-crop+trivial-augment"
        if images.resolution_px <= 128:  # beyond, a CPU's memory might not do
            batch, rate = 256, 4e-3
    if plan.pretrained is not None and not plan.from_scratch and plan.finish != "scratch":
        rate = TUNING_RATE
    return Recipe(
        epochs(images, count, batch),
        batch,
        learning_rate=rate,
        ema=0.998,
        augmentation=plan.augmentation or augmentation,
        balanced=plan.balanced,
    )
