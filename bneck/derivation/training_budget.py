"""The training budgets that follow from a plan and the images at hand."""

from dataclasses import dataclass
from math import ceil

from bneck.derivation.plan import Plan
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


@dataclass(frozen=True, slots=True)
class Budget:
    """How the three kinds of training are done on the images at hand.

    Small sets (under 5,000 images) are seen often in small batches; large ones are sampled.
    """

    proxies: WorkerImages
    search: Recipe
    fine_tune: Recipe
    final: Recipe


def budget(plan: Plan, images: ImageInfo) -> Budget:
    """The trainings of a plan: what the user asked for, else what suits the number of images."""
    count = images.training
    small = is_small(count)
    batch = min(64 if small else 128, max(2, count // 4))
    proxies = WorkerImages(
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
    search_steps = plan.search_steps or (ceil(7 * shown / batch) if small else 468)
    fine_tune_steps = plan.fine_tune_steps or (ceil(2 * shown / batch) if small else 100)
    final_epochs = plan.epochs or (30 if small else 15)
    return Budget(
        proxies=proxies,
        search=Recipe(search_steps, batch),
        fine_tune=Recipe(fine_tune_steps, batch, learning_rate=1e-3, ema=0.95),
        final=Recipe(epochs(images, final_epochs, batch), batch, ema=0.998),
    )
