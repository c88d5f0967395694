"""Scores in 8 bits: the accuracy of a trained network's graph, quantised as exports are."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from bneck.errors import ProxyFailed
from bneck.progress import Progress, silent
from bneck.proxies.data.image_part import ImagePart
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.row_order import stratified_order
from bneck.proxies.training.trainer import TrainingResult
from bneck.results.exports import Samples, Trained, int8
from bneck.search.label import SCORE, Label
from bneck.space.backends.torch_model import Network

RANGE_IMAGES = 128
"""Training images on which 8-bit ranges are found."""
CHOICE_IMAGES = 256
"""Other training images, by which one of several ways of quantising is chosen."""
PIECE = 32
"""Images that are in memory at a time."""


def label_of(
    result: TrainingResult, network: Network, images: ImageSource, score_as: str | None, seed: int
) -> Label:
    """Return the label of a network that was trained: its accuracy, in 8 bits where that is asked.

    Args:
        result: of the training, with the accuracy in floats.
        network: as it was trained.
        images: what it was trained on; accuracy is counted on their validation part.
        score_as: a format in 8 bits of ``EXPORTS``; None takes the accuracy in floats.
        seed: decides which training images ranges are found on.

    Raises:
        ProxyFailed: the network cannot be quantised.
    """
    if score_as is None:
        return Label(result.accuracy.value, result.made_with)
    arch = network.architecture.at(resolution_px=images.info.resolution_px)
    samples = samples_of(images, seed=seed)
    try:
        share = int8.quick_accuracy(Trained(arch, network.state_dict(), {}, samples), score_as)
    except Exception as error:  # quantisers raise whatever they meet
        raise ProxyFailed(f"it cannot be scored in 8 bits: {error}") from None
    return Label(share, {**result.made_with, SCORE: score_as})


def samples_of(images: ImageSource, *, seed: int, progress: Progress = silent) -> Samples:
    """Return the images by which a network is quantised, and those it is judged on.

    Args:
        images: without those that it must not see before it is judged (``for_training``).
        seed: decides which of the training images are taken.
        progress: told how many were looked at.
    """
    train = images.train
    order = stratified_order(train.labels, seed)
    first = min(RANGE_IMAGES, len(train) // 2)
    ranges, choice = order[:first], order[first : first + CHOICE_IMAGES]
    batches = partial(_batches, images, progress=progress)
    return Samples(
        ranges=partial(batches, train.take(ranges), "images for 8-bit ranges"),
        choice=partial(batches, train.take(choice), "quantised"),
        validation=partial(batches, images.val, "accuracy in 8 bits"),
    )


def _batches(
    images: ImageSource, part: ImagePart, what: str, *, progress: Progress
) -> Iterator[tuple[Tensor, Tensor]]:
    done = 0
    for pixels, labels in part.chunks(PIECE):
        yield images.normalise(pixels).to(memory_format=torch.contiguous_format), labels
        done += len(labels)
        progress(what, done, len(part))
