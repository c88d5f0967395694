"""Weights to begin with: of just this network, or of one that knew other classes."""

from collections.abc import Sequence
from pathlib import Path

from bneck.errors import UsageError
from bneck.files import read_json
from bneck.proxies.data.image_info import IMAGENET_MEAN, IMAGENET_STD
from bneck.results.run import Run
from bneck.space.architecture import Architecture
from bneck.space.backends import torch_model, torchvision_weights, weights

CLASSIFIER = "head.classifier."
Normalisation = tuple[Sequence[float], Sequence[float]]
"""(mean, std) of red, green and blue, on the scale 0 to 1."""


def normalisation_of(path: Path) -> Normalisation | None:
    """What the weights in ``path`` were trained with, if that is known.

    Torchvision's weights: ImageNet's statistics. Weights in a run's folder: what that run kept.
    """
    if path.suffix != ".safetensors":
        return IMAGENET_MEAN, IMAGENET_STD
    beside = Run(path.parent, {}).images
    kept = read_json(beside) if beside.exists() else {}
    return (kept["mean"], kept["std"]) if "mean" in kept else None


def starting_weights(
    path: Path, arch: Architecture, *, new_classes: bool, seed: int
) -> tuple[weights.State, bool]:
    """The weights in ``path``, and whether they know as many classes as ``arch``.

    They are safetensors of ours, or torchvision's state dict (weights only). With ``new_classes``
    they may know another number of classes; the classifier then begins anew.

    Raises:
        UsageError: the first tensor that does not fit, or another number of classes.
    """
    ours = path.suffix == ".safetensors"
    load = weights.load if ours else torchvision_weights.load
    classes = weights.classes(path) if ours else torchvision_weights.classes(path)
    if classes in (None, arch.classes):
        return load(path, arch), True
    before = arch.at(classes=classes)
    state = load(path, before)
    if not new_classes:
        raise UsageError(
            f"{path} knows {classes} classes, the data has {arch.classes}: "
            "--new-classes begins a new classifier"
        )
    fresh = torch_model.build(arch, seed=seed).state_dict()
    kept = {name: value for name, value in state.items() if not name.startswith(CLASSIFIER)}
    return fresh | kept, False
