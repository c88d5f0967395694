"""A trained network judged on labelled images, as those who deploy it would run it."""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import NormalDist

import numpy as np

from bneck.derivation.prediction import classifier_of
from bneck.derivation.run_images import are_own, images_of, warn_if_changed
from bneck.derivation.trained_networks import load_weights
from bneck.derivation.validation import check_evaluated
from bneck.errors import UsageError
from bneck.live import warn
from bneck.progress import Progress
from bneck.proxies.data import loading
from bneck.proxies.data.image_info import ALL, ImageInfo
from bneck.proxies.data.image_part import ImagePart
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.image_spec import is_divided_by_seed
from bneck.quantities import Latency
from bneck.results.classification import Classification, classification
from bneck.results.exports import Trained, export
from bneck.results.exports.classifier import Classifier, open_classifier
from bneck.results.networks import load_network
from bneck.results.run import Run
from bneck.results.run_folder import is_run
from bneck.space.architecture import Architecture
from bneck.text import number_of

BATCH = 16
TIMED = 128
"""Images whose latency is measured, one at a time; the others are classified in batches."""
QUARTILES_APART = 2 * NormalDist().inv_cdf(0.75)
"""Interquartile range of a normal distribution, in standard deviations."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A network's figures, the images they were counted on, and its latency meanwhile.

    Attributes:
        part: "train", "val", "test" or "all".
        latency: median of one image alone in this process, with the standard deviation that its
            interquartile range would be of, were it normal: a few slow images do not count.
    """

    images: ImageInfo
    part: str
    figures: Classification
    latency: Latency


def evaluate_network(
    net: str,
    data: str | None = None,
    *,
    part: str | None = None,
    weights: Path | None = None,
    width: float | None = None,
    resolution_px: int | None = None,
    seed: int,
    progress: Progress,
) -> Evaluation:
    """Classify a part of a set of images, and judge the outcome.

    Args:
        net: a run's folder, an ONNX file of bneck, or with ``weights`` a network.
        data: the images; None for those that the run was trained on.
        part: "train", "val", "test" or "all"; None for the test images if there are any, else val,
            and for all images of a set without parts that a run was not made with.
        weights: the weights of a network that is neither a run nor an ONNX file.
        width: with weights, a preset's width multiplier; None takes 1.
        resolution_px: with weights, another input side; None keeps the network's own.
        seed: splits images without a validation part; a run's own seed splits them for the run.
        progress: told how far it is.

    Raises:
        UsageError: what ``check_evaluated`` refuses, no images, other classes than the network's,
            or no such part.
    """
    check_evaluated(net, data, weights, width, resolution_px)
    run = Run.read(Path(net)) if is_run(net) else None
    if data is None:
        assert run is not None  # by check_evaluated
        run.images_asked()  # a plan that names none is said before what else the run lacks
        classifier = classifier_of(run.folder)
        accept = partial(_check_fit, net, classifier, part)
        images = images_of(run, classifier.resolution_px, progress, accept)
        as_trained = images.normalised_with(classifier.mean, classifier.std)
        warn_if_changed(run, as_trained.info, "it may have been trained on some of these")
    elif weights is None:
        classifier = classifier_of(Path(net))
        asked = {"seed": seed} if run is None else run.images_asked()
        side_px = classifier.resolution_px
        images = loading.load(
            **asked | {"spec": data},
            resolution_px=side_px,
            progress=progress,
            accept=partial(_check_fit, net, classifier, part),
        )
    else:
        arch = load_network(net, width=width, resolution_px=resolution_px)

        def fits(info: ImageInfo) -> None:
            _check_part(part, info)
            load_weights(net, weights, arch.at(classes=info.classes))

        side_px = arch.resolution_px
        images = loading.load(
            data, seed=seed, resolution_px=side_px, progress=progress, accept=fits
        )
        classifier = _with_weights(net, arch, weights, images)
    if part is None and data is not None and is_divided_by_seed(data):
        part = _part_of_divided(run, data, images)
    name, chosen = _part(images, part)
    probabilities, seconds = _classified(classifier, chosen, progress)
    labels = np.concatenate([one.labels.numpy() for one in chosen])
    return Evaluation(
        images.info,
        name,
        classification(probabilities, labels, images.info.class_names),
        _latency(seconds),
    )


def _latency(seconds: np.ndarray) -> Latency:
    low, middle, high = np.quantile(seconds, (0.25, 0.5, 0.75)) * 1000
    return Latency(float(middle), float(high - low) / QUARTILES_APART)


def _with_weights(net: str, arch: Architecture, file: Path, images: ImageSource) -> Classifier:
    """The network ``net`` with weights of a file, exported, for the classes of the images.

    It takes them by their own statistics.
    """
    info = images.info
    arch = arch.at(classes=info.classes)
    notes = {"classes": info.class_names, "mean": info.mean, "std": info.std}
    about = {name: json.dumps(note) for name, note in notes.items()}
    trained = Trained(arch, load_weights(net, file, arch), about)
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "network.onnx"
        export(trained, "onnx", exported)
        return open_classifier(exported)


def _check_fit(net: str, classifier: Classifier, part: str | None, images: ImageInfo) -> None:
    """Refuse images without the part that is asked for, of other classes, or in another order.

    Labels of other classes mean something else.
    """
    _check_part(part, images)
    ours, theirs = classifier.classes, images.class_names
    if ours == theirs:
        return
    if len(ours) != len(theirs):
        raise UsageError(f"{net} has {len(ours)} classes, {images.name} has {len(theirs)}")
    one, other = next(pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1])
    raise UsageError(f"{net} has the class {one!r} where {images.name} has {other!r}")


def _check_part(part: str | None, images: ImageInfo) -> None:
    if part == "test" and not images.test:
        raise UsageError(f"{images.name} has no test images; it has train, val")


def _part_of_divided(run: Run | None, data: str, images: ImageSource) -> str:
    """The part to classify of images without parts: of what a training saw, the rest alone."""
    own = None if run is None else are_own(run, data, images.info)
    if own is not None:
        return "val" if own else ALL
    held_out = len(images.val)
    warn(
        f"only the {number_of(held_out, 'image')} that a training on {images.info.name} holds out "
        f"{'is' if held_out == 1 else 'are'} counted; --part {ALL} counts all of them"
    )
    return "val"


def _part(images: ImageSource, part: str | None) -> tuple[str, list[ImagePart]]:
    """The part to classify, or all of them, without pictures that are in a later part too."""
    train, val = images.apart()
    parts = {"train": train, "val": val, "test": images.test}
    there = {name: one for name, one in parts.items() if one is not None}
    if part == ALL:
        return ALL, list(there.values())
    name = part or ("test" if images.test is not None else "val")
    if not len(there[name]):
        raise UsageError(f"all {name} images of {images.info.name} are in a later part too")
    return name, [there[name]]


def _classified(
    classifier: Classifier, parts: Sequence[ImagePart], progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """(images, classes) probabilities, and the seconds of the first images, which go one by one."""
    found: list[np.ndarray] = []
    seconds: list[float] = []
    for pixels, _ in chain.from_iterable(part.chunks(BATCH) for part in parts):
        pictures = pixels.permute(0, 2, 3, 1).contiguous().numpy()
        if len(seconds) < TIMED or not classifier.takes_batches:
            for picture in pictures:
                began = time.perf_counter()
                found.append(classifier.probabilities(picture))
                seconds.append(time.perf_counter() - began)
        else:
            found.extend(classifier.probabilities_of(pictures))
        progress("classifying", len(found), sum(map(len, parts)))
    return np.array(found), np.array(seconds)
