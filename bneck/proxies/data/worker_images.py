"""The images that workers train on: a small value that travels, and is loaded once there."""

from dataclasses import dataclass
from functools import lru_cache

from bneck.proxies.data import loading
from bneck.proxies.data.image_source import ImageSource


@dataclass(frozen=True, slots=True)
class Images:
    """Which images cheap signals see: a share of the training part, never the final validation.

    Attributes:
        signal_px: the side they train at; the final training uses ``resolution_px``.
        train, val: at most so many images of each part; None keeps all.
        mean, std: what pixels are normalised with; None for the statistics of the set.
    """

    spec: str
    resolution_px: int
    signal_px: int
    seed: int
    train: int | None = None
    val: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@lru_cache(maxsize=1)
def whole(images: Images) -> ImageSource:
    """All images, for final trainings, in this process's memory."""
    loaded = loading.load(images.spec, resolution_px=images.resolution_px, seed=images.seed)
    if images.mean is None or images.std is None:
        return loaded
    return loaded.normalised_with(images.mean, images.std)


@lru_cache(maxsize=1)
def for_signals(images: Images) -> ImageSource:
    """The images of cheap signals, in this process's memory."""
    part = (
        whole(images)
        .for_search(images.seed)
        .subset(seed=images.seed, train=images.train, val=images.val)
    )
    return part if images.signal_px == images.resolution_px else part.resized(images.signal_px)
