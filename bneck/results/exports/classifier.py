"""Classifying pictures with an exported ONNX file alone: what it needs is in its metadata."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bneck.errors import UsageError
from bneck.files import naming
from bneck.results.exports import onnx_file
from bneck.space.backends import onnx_model, onnx_parsing
from bneck.space.backends.onnx_session import open_session

NEEDED = ("classes", "mean", "std")


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
        pixels = picture.astype(np.float32) / 255
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        image = ((pixels - mean) / std).transpose(2, 0, 1)[None]
        (logits,) = self.session.run(None, {onnx_model.INPUT: image})[0]
        odds = np.exp(logits - logits.max())
        shares: NDArray[np.float32] = odds / odds.sum()
        return shares


def open_classifier(path: Path) -> Classifier:
    """The classifier in an ONNX file that bneck exported.

    Raises:
        UsageError: no ONNX file, or one of another origin, or without what pictures need.
    """
    model = onnx_parsing.read(path)
    with naming(path):
        arch, notes = onnx_file.architecture(model), onnx_file.notes(model)
    if arch is None:
        raise UsageError(f"{path} is an ONNX file, but not one that bneck exported")
    if lacking := [name for name in NEEDED if name not in notes]:
        raise UsageError(
            f"{path} does not say its {' and '.join(lacking)}: it was exported from a network, "
            "not from a run; export the run's folder"
        )
    classes, mean, std = (json.loads(notes[name]) for name in NEEDED)
    session = open_session(model.SerializeToString())
    return Classifier(tuple(classes), tuple(mean), tuple(std), arch.resolution_px, session)
