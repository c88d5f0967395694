"""ONNX with 8-bit weights and activations (QDQ), ranges found on the run's own images."""

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from torch import Tensor

from bneck.errors import UsageError
from bneck.files import write_whole
from bneck.results.exports import Trained
from bneck.results.exports.checking import network
from bneck.results.exports.onnx_file import graph, runner
from bneck.space.backends import onnx_model

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
    if trained.images is None:
        raise UsageError(
            "8-bit ranges are found on images: give a run's folder, and keep its images in place"
        )
    model = graph(trained)
    floats = {item.key: item.value for item in model.metadata_props}
    data = _quantised(model, trained.images)
    quantised = onnx.load_model_from_string(data)
    del quantised.metadata_props[:]
    for name in floats.keys() - {"accuracy", "latency_ms"}:
        quantised.metadata_props.add(key=name, value=floats[name])
    data = quantised.SerializeToString()
    onnx.checker.check_model(quantised, full_check=True)
    with torch.no_grad():
        ours, theirs = network(trained)(trained.images), runner(data)(trained.images)
    write_whole(path, data)
    return float((ours - theirs).square().mean().sqrt() / ours.square().mean().sqrt())


def _quantised(model: onnx.ModelProto, images: Tensor) -> bytes:
    # It reports on stdout and through the root logger, and writes only to files.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.redirect_stdout(io.StringIO()),
        ):
            target = Path(folder, "int8.onnx")
            quantize_static(
                model,
                str(target),
                _Feeds(images),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
            )
            return target.read_bytes()
    finally:
        logging.disable(before)


class _Feeds(CalibrationDataReader):  # type: ignore[misc]
    """The images one by one, as the quantiser asks for them."""

    def __init__(self, images: Tensor) -> None:
        self._feeds: Iterator[dict[str, Any]] = (
            {onnx_model.INPUT: image.numpy()} for image in images.split(1)
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)
