"""Facts about a set of images: all that a plan needs to know, without any pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bneck import records

PARTS = ("train", "val", "test")
"""The parts that a set of images may have, in order; nothing is trained on the last two."""
ALL = "all"
"""What stands for all parts of a set together."""
SMALL_PX = 32
"""Five halvings of a mobile network leave one pixel."""
PHOTO_PX = 224
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What torchvision's published weights were trained with."""
HELD_OUT_EVERY = 5
"""One training image in this many is held out where a set must be split."""
FEW, FOLDS = 1000, 5
"""Training images below which all of them judge networks, and in how many parts."""
SMALL_SET = 5000
"""Training images from which on proxies see a sample; of fewer they see all."""
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
        test: number of images that give the last figure, where validation images choose.
        summary: parts, classes, images and sides in one line.
        warnings: what its user should know, such as pictures that occur twice.
        training_left_out, validation_left_out: images of these parts that nothing is trained on or
            chosen by, since the same pictures judge: training images that are also validation or
            test images, and, where there are test images, validation images among them.
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
    test: int = 0
    summary: str = ""
    warnings: tuple[str, ...] = ()
    training_left_out: int = 0
    validation_left_out: int = 0

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def folds(self) -> int:
        """Parts of the training images that judge a network in turn; 1 where one part judges all.

        Each part needs two images at least.
        """
        return FOLDS if 2 * FOLDS <= self.trained_on < FEW else 1

    @property
    def judged_on(self) -> int:
        """Number of images on which the search judges networks."""
        validation = self.validation - self.validation_left_out
        return judged_on(self.trained_on, validation, self.test, self.folds)

    @property
    def trained_on(self) -> int:
        """Number of images that networks are trained on."""
        return self.training - self.training_left_out

    def is_what(self, kept: Mapping[str, Any]) -> bool:
        """Whether these are the images of facts that a run kept; earlier versions kept fewer.

        Where its fingerprint is shorter, it was made of other content and cannot be compared.
        """
        told = {"summary", "warnings", "test"}
        if len(str(kept.get("fingerprint", ""))) != len(self.fingerprint):
            told |= {"fingerprint", "mean", "std"}
        now = records.to_json(self)
        return all(now.get(name) == value for name, value in kept.items() if name not in told)


def held_out(training: int) -> int:
    """Number of ``training`` images that are held out where a set must be split: a fifth."""
    return -(-training // HELD_OUT_EVERY)


def judged_on(training: int, validation: int, test: int, folds: int = 1) -> int:
    """Number of images on which the search judges networks, of a set with parts of these sizes.

    Args:
        training: number of training images.
        validation: number of validation images.
        test: number of test images, 0 where there are none.
        folds: parts of the training images that judge in turn.
    """
    if folds > 1:
        return training if is_small(training) else min(training, folds * PROXY_VALIDATION)
    count = validation if test else held_out(training)
    return count if is_small(training) else min(count, PROXY_VALIDATION)


def is_small(training: int) -> bool:
    """Whether a set with this many training images is small: proxies see all of it."""
    return training < SMALL_SET
