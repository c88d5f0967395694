"""LiteRT with 8-bit weights and activations, ranges found on the run's own images."""

from pathlib import Path

import numpy as np
import torch

from bneck.files import write_whole
from bneck.results.exports import Trained
from bneck.results.exports.checking import images_of, network, relative_error
from bneck.results.exports.onnx_int8 import IN_WORDS, TOLERANCE
from bneck.results.exports.tflite_file import metadata, model, runner
from bneck.space.backends.tflite_int8 import quantised

__all__ = ["IN_WORDS", "TOLERANCE", "write"]


def write(trained: Trained, path: Path) -> float:
    """Quantise the file, compare LiteRT's outputs on the images; returns the difference.

    Weights are signed and by channel, activations signed; input and output stay floats. Notes of
    the float network's accuracy and latency are left out, for they do not hold here.

    Raises:
        UsageError: ``trained`` brings no images.
    """
    images = images_of(trained)
    feeds = (np.ascontiguousarray(one.permute(0, 2, 3, 1).numpy()) for one in images.split(1))
    notes = metadata(trained)
    kept = {name: notes[name] for name in sorted(notes.keys() - {"accuracy", "latency_ms"})}
    data = quantised(model(trained, kept), feeds)
    with torch.no_grad():
        ours, theirs = network(trained)(images), runner(data)(images)
    write_whole(path, data)
    return relative_error(ours, theirs)
