"""ONNX with 8-bit weights and activations (QDQ), ranges found on the run's own images."""

from pathlib import Path

import onnx
import torch

from bneck.files import write_whole
from bneck.results.exports import Trained
from bneck.results.exports.checking import images_of, network, relative_error
from bneck.results.exports.onnx_file import graph, runner
from bneck.space.backends.onnx_int8 import quantised

TOLERANCE = 0.5
"""How far the logits may differ, root mean square against root mean square; 0.25 was seen."""


IN_WORDS = (
    "on training images its logits are {} off, root mean square as a share of theirs; "
    "its accuracy was not measured"
)


def write(trained: Trained, path: Path) -> float:
    """Quantise the graph, compare ONNX Runtime's outputs on the images; returns the difference.

    Weights are signed and by channel, activations unsigned. Notes of the float network's accuracy
    and latency are left out, for they do not hold here.

    Raises:
        UsageError: ``trained`` brings no images.
    """
    images = images_of(trained)
    model = graph(trained)
    floats = {item.key: item.value for item in model.metadata_props}
    data = quantised(model, (image.numpy() for image in images.split(1)))
    int8 = onnx.load_model_from_string(data)
    del int8.metadata_props[:]
    for name in floats.keys() - {"accuracy", "latency_ms"}:
        int8.metadata_props.add(key=name, value=floats[name])
    data = int8.SerializeToString()
    onnx.checker.check_model(int8, full_check=True)
    with torch.no_grad():
        ours, theirs = network(trained)(images), runner(data)(images)
    write_whole(path, data)
    return relative_error(ours, theirs)
