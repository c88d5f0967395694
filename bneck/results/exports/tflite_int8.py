"""LiteRT with 8-bit weights and activations, ranges found on the run's own images."""

from collections.abc import Callable
from pathlib import Path

from bneck.files import write_whole
from bneck.results.exports import Exported, Trained, int8
from bneck.results.exports.int8 import Way, ways
from bneck.results.exports.tflite_file import model, runner
from bneck.space.backends.tflite_content import with_notes
from bneck.space.backends.tflite_int8 import quantised, ranges_of

__all__ = ["quantiser", "runner", "ways", "write"]


def write(trained: Trained, path: Path) -> Exported:
    """Quantise the file in the best of several ways, and count what that costs.

    Weights and activations are signed; input and output stay floats.

    Raises:
        UsageError: ``trained`` brings no images.
    """
    data, exported = int8.best(trained, ways(trained.arch.layers()), quantiser(trained), runner)
    data = with_notes(data, int8.notes(trained, exported))
    runner(data)  # which refuses what cannot be opened
    write_whole(path, data)
    return exported


def quantiser(trained: Trained) -> Callable[[Way], bytes]:
    """Return what makes the file of a way, ranges found on the network's samples."""
    images = int8.images_of(trained)
    floats = model(trained, {})
    ranges = ranges_of(floats, (one.permute(0, 2, 3, 1).numpy() for one in images))

    def file(way: Way) -> bytes:
        return quantised(floats, ranges, per_channel=way.per_channel, in_float=way.in_float)

    return file
