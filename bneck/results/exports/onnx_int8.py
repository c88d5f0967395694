"""ONNX with 8-bit weights and activations (QDQ), ranges found on the run's own images."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx

from bneck.files import write_whole
from bneck.results.exports import Exported, Trained, int8
from bneck.results.exports.int8 import Way
from bneck.results.exports.onnx_file import graph, runner
from bneck.space.backends.onnx_int8 import quantised
from bneck.space.layers import Layer

__all__ = ["quantiser", "runner", "ways", "write"]


def write(trained: Trained, path: Path) -> Exported:
    """Quantise the graph in the best of several ways, and count what that costs.

    Weights are signed, activations unsigned.

    Raises:
        UsageError: ``trained`` brings no images.
    """
    data, exported = int8.best(trained, ways(trained.arch.layers()), quantiser(trained), runner)
    final = onnx.load_model_from_string(data)
    del final.metadata_props[:]
    for name, text in int8.notes(trained, exported).items():
        final.metadata_props.add(key=name, value=text)
    onnx.checker.check_model(final, full_check=True)
    write_whole(path, final.SerializeToString())
    return exported


def ways(layers: tuple[Layer, ...]) -> list[Way]:
    """Return the ways that are tried; ONNX Runtime itself takes the range of all images."""
    plain = int8.ways(layers)
    return plain + [replace(way, averaged=True) for way in plain]


def quantiser(trained: Trained) -> Callable[[Way], bytes]:
    """Return what makes the file of a way, ranges found on the network's samples."""
    images = int8.images_of(trained)
    model = graph(trained)

    def file(way: Way) -> bytes:
        return quantised(
            model,
            (image.numpy() for image in images),
            per_channel=way.per_channel,
            in_float=way.in_float,
            averaged=way.averaged,
        )

    return file
