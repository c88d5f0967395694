"""Labelled images by row number: a set with its parts, its splits and its views."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bneck.errors import UsageError
from bneck.proxies.data.image_info import ImageInfo
from bneck.proxies.data.image_part import ImagePart
from bneck.proxies.data.pixels import digest_rows, numbered
from bneck.proxies.data.sending import sent


@dataclass(frozen=True, eq=False)
class ImageSource:
    """A set of images: its facts, and its pixels by row numbers.

    Where there is no ``test``, ``val`` measures the final accuracy and nothing else: whatever
    *chooses* between networks works on ``for_search``, whose validation part is held out of
    ``train``. Where there is one, ``val`` chooses and ``test`` gives the last figure.
    """

    info: ImageInfo
    train: ImagePart
    val: ImagePart
    test: ImagePart | None = None

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) -> float32 (B, 3, H, W) by the set's mean and std, channels_last."""
        facts = torch.tensor([self.info.mean, self.info.std]).view(2, 1, 3, 1, 1) * 255
        mean, std = sent(facts, pixels.device).unbind()
        x = pixels.to(torch.float32, memory_format=torch.channels_last)
        return (x - mean).div_(std)

    def normalised_with(self, mean: Sequence[float], std: Sequence[float]) -> "ImageSource":
        """The same images for weights that were trained with this mean and deviation."""
        return replace(self, info=replace(self.info, mean=tuple(mean), std=tuple(std)))

    def for_training(self) -> "ImageSource":
        """The set without images that a network must not see before it is judged on them.

        The same picture may be in several parts. Training images that are validation or test
        images too are left out, and, where there are test images, validation images among them.

        Raises:
            UsageError: nothing is left to train on or to choose by.
        """
        if not self.info.training_left_out + self.info.validation_left_out:
            return self
        train, val = self.apart()
        for part, kept in (("training", train), ("validation", val)):
            if not len(kept):
                raise UsageError(
                    f"{self.info.name}: all {part} images are the same pictures as validation or "
                    "test images, so an accuracy on these would be that of memorised images"
                )
        return replace(self._view(train, val), test=self.test)

    def apart(self) -> tuple[ImagePart, ImagePart]:
        """The training and validation images that ``for_training`` leaves."""
        test = [self.test] if self.test is not None else []
        return self.train.without([self.val, *test]), self.val.without(test)

    def for_search(self, seed: int) -> "ImageSource":
        """The set on which networks are compared; what gives the last figure is left out.

        Its val is this val where there are test images, else a stratified fifth of this train.
        """
        apart = self.for_training()
        if apart.test is not None:
            return apart._view(apart.train, apart.val)
        return apart._view(*apart.train.split(seed))

    def without_fold(self, fold: int, folds: int, seed: int) -> "ImageSource":
        """The training images without one of their stratified parts, which becomes the val.

        Args:
            fold: which part, from 0.
            folds: number of parts.
            seed: decides the parts.
        """
        train = self.for_training().train
        return self._view(*train.split(seed, fold=fold, folds=folds))

    def subset(
        self, *, seed: int, train: int | None = None, val: int | None = None
    ) -> "ImageSource":
        """At most ``train`` and ``val`` images of these parts, every class in proportion.

        Args:
            seed: decides which images.
            train: at most so many training images; None keeps all.
            val: at most so many validation images; None keeps all.
        """
        return self._view(self.train.first(train, seed), self.val.first(val, seed))

    def resized(self, resolution_px: int) -> "ImageSource":
        """The same images at another side, for proxies that train smaller."""
        if resolution_px == self.info.resolution_px:
            return self
        parts = (self.train.resized(resolution_px), self.val.resized(resolution_px))
        return self._view(*parts, resolution_px)

    def on_test(self) -> "ImageSource":
        """The set with its test images as val; itself where there are none."""
        return self if self.test is None else self._view(self.train, self.test)

    def _view(
        self, train: ImagePart, val: ImagePart, resolution_px: int | None = None
    ) -> "ImageSource":
        """Parts of this set, normalised as the whole is."""
        digest = hashlib.sha256(repr((self.info.fingerprint, resolution_px)).encode())
        for part in (train, val):
            digest.update(part.rows.numpy().data)
        info = replace(
            self.info,
            resolution_px=resolution_px or self.info.resolution_px,
            training=len(train),
            validation=len(val),
            test=0,
            training_left_out=0,
            validation_left_out=0,
            fingerprint=digest.hexdigest()[:12],
        )
        return ImageSource(info, train, val)


def assembled(
    name: str,
    class_names: Sequence[str],
    parts: Sequence[ImagePart],
    digests: Sequence[NDArray[np.uint8]],
    *,
    flip: bool,
) -> ImageSource:
    """A set of its parts, with the facts that follow from them.

    Args:
        name: as the plan names the set.
        class_names: one for each label.
        parts: training, validation and, if there are any, test images.
        digests: for each part, uint8 (N, 16) of the pixels of its squares.
        flip: whether a mirrored image still shows its class.

    Raises:
        UsageError: fewer than two classes, a part without images, a label without a class.
    """
    train, val, test = (*parts, None)[:3]
    assert train is not None
    assert val is not None
    check_labels(name, len(class_names), train.labels, val.labels)
    mean, std = train.statistics()
    facts = (tuple(class_names), train.squares.shape[-1], *(() if flip else (flip,)))
    content = hashlib.sha256(repr(facts).encode())
    for part, of_part in zip(parts, digests, strict=True):
        content.update(part.labels.numpy().data)
        content.update(of_part[part.rows.numpy()].data)
    info = ImageInfo(
        name=name,
        class_names=tuple(class_names),
        resolution_px=train.squares.shape[-1],
        mean=mean,
        std=std,
        flip=flip,
        training=len(train),
        validation=len(val),
        test=0 if test is None else len(test),
        fingerprint=content.hexdigest()[:16],
        training_left_out=int(train.shared_with(parts[1:]).sum()),
        validation_left_out=int(val.shared_with(parts[2:]).sum()),
    )
    return ImageSource(info, train, val, test)


def in_memory(
    name: str,
    class_names: Sequence[str],
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor] | None = None,
    *,
    seed: int = 0,
    flip: bool = True,
) -> ImageSource:
    """Images that are tensors already.

    Args:
        name: what errors call the set.
        class_names: one for each label.
        train, val: squares, uint8 (N, 3, side, side), and labels, int64 (N,).
        seed: decides which fifth of ``train`` validates where there is no ``val``.
        flip: whether a mirrored image still shows its class.

    Raises:
        UsageError: fewer than two classes, a part without images, a label without a class.
    """
    given = [train] if val is None else [train, val]
    digests = [digest_rows(images) for images, _ in given]
    contents = numbered(np.concatenate(digests)).split([len(rows) for rows in digests])
    parts = [
        ImagePart(images, torch.arange(len(images)), labels, of_part)
        for (images, labels), of_part in zip(given, contents, strict=True)
    ]
    check_labels(name, len(class_names), parts[0].labels, parts[-1].labels)
    if val is None:
        parts = [*parts[0].split(seed)]
        digests = 2 * digests
    return assembled(name, class_names, parts, digests, flip=flip)


def check_labels(name: str, classes: int, train: Tensor, val: Tensor) -> None:
    """Raise UsageError unless there are two classes, images in both parts, and labels in range.

    Args:
        name: what the error calls the set.
        classes: how many there are.
        train: int64 (N,), labels of the training images.
        val: int64 (N,), labels of the validation images.
    """
    if classes < 2:
        raise UsageError(f"{name} has {classes} class; at least 2 are needed")
    for part, labels in (("training", train), ("validation", val)):
        if len(labels) == 0:
            raise UsageError(f"{name} has no {part} images")
        wrong = labels[(labels < 0) | (labels >= classes)]
        if len(wrong):
            raise UsageError(
                f"{name}: {part} label {int(wrong[0])} is out of range; "
                f"labels run from 0 to {classes - 1}"
            )
