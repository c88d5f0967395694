"""Facts about a set of images: all that a plan needs to know, without any pixels."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

SMALL_PX = 32
"""Five halvings of a mobile network leave one pixel."""
PHOTO_PX = 224
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What torchvision's published weights were trained with."""
HELD_OUT_EVERY = 5
"""One of so many training images is held out where a set must be split."""
SMALL_SET = 5000
"""Fewer training images than these are all shown to proxies; of more, a sample."""
PROXY_TRAINING, PROXY_VALIDATION = 20_000, 5_000
"""The sample of a large set on which proxies train and are judged."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What is known of a set of images.

    Attributes:
        name: as the plan names the set, such as ``digits`` or ``folder:photos``.
        class_names: one for each label, in the labels' order.
        resolution_px: side of the squares.
        mean, std: what pixels are normalised with (red, green, blue; on the scale 0 to 1). Those of
            the training pixels, unless weights brought their own; the same for every view of a set.
        flip: whether a mirrored image still shows its class; not so for characters.
        training, validation: number of images in each part.
        fingerprint: hexadecimal digest of the content; another one for every view.
    """

    name: str
    class_names: tuple[str, ...]
    resolution_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    training: int
    validation: int
    fingerprint: str

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def to_json(self) -> dict[str, Any]:
        """The facts as plain JSON values, as a run keeps them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote; earlier versions kept no ``flip``.

        Raises:
            KeyError: a fact is missing.
        """
        known = {"flip": True, **kept}
        values: dict[str, Any] = {field.name: known[field.name] for field in fields(cls)}
        for name in ("class_names", "mean", "std"):
            values[name] = tuple(values[name])
        return cls(**values)


def held_out(training: int) -> int:
    """Number of ``training`` images that are held out where a set must be split: a fifth."""
    return -(-training // HELD_OUT_EVERY)


def is_small(training: int) -> bool:
    """Whether proxies see all of a set with so many training images."""
    return training < SMALL_SET


def judged_on(training: int) -> int:
    """Number of images on which the search judges networks, held out of ``training`` images."""
    count = held_out(training)
    return count if is_small(training) else min(count, PROXY_VALIDATION)
