"""Weights to begin with: of just this network, or of one for other classes."""

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class InitialWeights:
    """Tensors by our names; ``same_classes`` where the classifier is theirs, not a new one."""

    state: weights.State
    same_classes: bool


def normalisation_of(path: Path) -> Normalisation | None:
    """Return what the weights in ``path`` were trained with, if that is known.

    Torchvision's weights: ImageNet's statistics. Weights in a run's folder: what that run kept.
    """
    if path.suffix != ".safetensors":
        return IMAGENET_MEAN, IMAGENET_STD
    beside = Run(path.parent, {}).images
    kept = read_json(beside) if beside.exists() else {}
    return (kept["mean"], kept["std"]) if "mean" in kept else None


def load_initial_weights(
    path: Path, arch: Architecture, *, new_classes: bool, seed: int
) -> InitialWeights:
    """Read weights for ``arch``: safetensors of ours, or a state dict of torchvision's.

    Args:
        path: the file; of a state dict only tensors are read.
        arch: the network that they are for.
        new_classes: whether they may be for other classes; a new classifier then starts from
            random weights.
        seed: of that new classifier.

    Raises:
        UsageError: the first tensor that does not fit, or another number of classes.
    """
    ours = path.suffix == ".safetensors"
    load = weights.load if ours else torchvision_weights.load
    classes = weights.classes(path) if ours else torchvision_weights.classes(path)
    if classes in (None, arch.classes):
        return InitialWeights(load(path, arch), True)
    state = load(path, arch.at(classes=classes))
    if not new_classes:
        raise UsageError(
            f"{path} was trained for {classes} classes, the data has {arch.classes}; "
            "pass --new-classes to start a new classifier"
        )
    fresh = torch_model.build(arch, seed=seed).state_dict()
    kept = {name: value for name, value in state.items() if not name.startswith(CLASSIFIER)}
    return InitialWeights(fresh | kept, False)
