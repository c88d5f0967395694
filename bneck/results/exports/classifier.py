"""Classifying pictures with an exported ONNX file alone: what it needs is in its metadata."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bneck.errors import UsageError
from bneck.files import naming
from bneck.results.exports import onnx_notes
from bneck.results.metadata import OF_PICTURES
from bneck.space.backends import onnx_model, onnx_parsing
from bneck.space.backends.onnx_session import open_session


@dataclass(frozen=True)
class Classifier:
    """A network that is ready to run, and how pictures are brought to it."""

    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resolution_px: int
    session: onnxruntime.InferenceSession

    def probabilities(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(side, side, 3) RGB pixels -> (classes,) that sum to 1."""
        shares: NDArray[np.float32] = self.probabilities_of(picture[None])[0]
        return shares

    def probabilities_of(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, side, side, 3) RGB pixels -> (N, classes), the same numbers as one by one."""
        pixels = pictures.astype(np.float32) / 255
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        images = ((pixels - mean) / std).transpose(0, 3, 1, 2)
        logits = self.session.run(None, {onnx_model.INPUT: images})[0]  # (N, classes)
        odds = np.exp(logits - logits.max(1, keepdims=True))
        shares: NDArray[np.float32] = odds / odds.sum(1, keepdims=True)
        return shares

    @property
    def takes_batches(self) -> bool:
        """Whether the graph leaves the number of images open."""
        return not isinstance(self.session.get_inputs()[0].shape[0], int)


def open_classifier(path: Path) -> Classifier:
    """The classifier in an ONNX file that bneck exported.

    Raises:
        UsageError: no ONNX file, or one of another origin, or without what pictures need.
    """
    model = onnx_parsing.read(path)
    with naming(path):
        arch, notes = onnx_notes.architecture(model), onnx_notes.notes(model)
    if arch is None:
        raise UsageError(f"{path} is an ONNX file, but not one that bneck exported")
    if lacking := [name for name in OF_PICTURES if name not in notes]:
        raise UsageError(
            f"{path} does not say its {' and '.join(lacking)}: it was exported from a network, "
            "not from a run; export the run's folder"
        )
    classes, mean, std = (json.loads(notes[name]) for name in OF_PICTURES)
    try:
        session = open_session(model.SerializeToString())
        found = Classifier(tuple(classes), tuple(mean), tuple(std), arch.resolution_px, session)
        side = arch.resolution_px
        shares = found.probabilities(np.zeros((side, side, 3), np.uint8))
    except Exception as error:  # ONNX Runtime's share no base class but Exception
        raise UsageError(f"{path}: ONNX Runtime cannot run the network: {error}") from None
    if shares.shape != (arch.classes,):
        raise UsageError(
            f"{path} gives numbers of shape {shares.shape} for its {arch.classes} classes"
        )
    return found
