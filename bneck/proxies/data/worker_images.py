"""The images that workers train on: a small value that is sent, loaded once in each process."""

from dataclasses import dataclass
from functools import lru_cache

from bneck.proxies.data import loading
from bneck.proxies.data.image_source import ImageSource


@dataclass(frozen=True, slots=True)
class WorkerImages:
    """Which images a task needs, as a value that can be sent to workers.

    Attributes:
        spec: the plan's data, such as ``folder:photos``.
        resolution_px: side of the images in final trainings.
        proxy_px: side at which proxies train.
        seed: decides which images are held out and sampled.
        train, val: at most so many images of each part for proxies; None keeps all.
        mean, std: what pixels are normalised with; None for the statistics of the set.
        fingerprint: of the images that the driver has, which a worker's must have too.
        folds: parts of the training images that judge a network of a search in turn; 1 for the
            usual part.
    """

    spec: str
    resolution_px: int
    proxy_px: int
    seed: int
    train: int | None = None
    val: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    fingerprint: str | None = None
    folds: int = 1


@lru_cache(maxsize=1)
def whole(images: WorkerImages) -> ImageSource:
    """Return all images that final trainings may use; loaded once in each process."""
    loaded = loading.load(
        images.spec,
        resolution_px=images.resolution_px,
        seed=images.seed,
        skip_unreadable=True,  # the driver has judged them
        fingerprint=images.fingerprint,
    ).for_training()
    if images.mean is None or images.std is None:
        return loaded
    return loaded.normalised_with(images.mean, images.std)


@lru_cache(maxsize=1)
def for_proxies(images: WorkerImages) -> ImageSource:
    """Return the images that proxies see: part of the training images, none of the final ones."""
    return (
        whole(images)
        .for_search(images.seed)
        .subset(seed=images.seed, train=images.train, val=images.val)
        .resized(images.proxy_px)
    )


@lru_cache(maxsize=1)
def in_folds(images: WorkerImages) -> tuple[ImageSource, ...]:
    """Return what ``for_proxies`` does, once for each part that judges; all share their pixels."""
    if images.folds == 1:
        return (for_proxies(images),)
    every = whole(images).resized(images.proxy_px)
    return tuple(
        every.without_fold(fold, images.folds, images.seed).subset(
            seed=images.seed, train=images.train, val=images.val
        )
        for fold in range(images.folds)
    )
