"""A LiteRT file in 8 bits, by Google's ai-edge-quantizer."""

import re
import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from ai_edge_quantizer import quantizer, recipe_manager
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.qtyping import QuantGranularity, TFLOperationName
from numpy.typing import NDArray

from bneck.space.backends.tflite_model import INPUT, SIGNATURE
from bneck.space.backends.tflite_session import silent

Ranges = Mapping[str, Any]
"""Least and largest value of each tensor of a file, by its name."""


def ranges_of(model: bytes, images: Iterable[NDArray[np.float32]]) -> Ranges:
    """Return what activations range over, which takes far longer than to quantise by it.

    Args:
        model: a float file that ``tflite_model.build`` wrote.
        images: inputs, (1, px, px, channels) each.

    Raises:
        Exception: whatever the quantizer raises for a graph that it cannot run.
    """
    feeds = [{INPUT: np.ascontiguousarray(image)} for image in images]
    with silent(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worker = quantizer.Quantizer(model, _recipe(per_channel=True))
        ranges: Ranges = worker.calibrate({SIGNATURE: feeds}, num_threads=1)
        return ranges


def quantised(
    model: bytes, ranges: Ranges, *, per_channel: bool = True, in_float: Collection[str] = ()
) -> bytes:
    """Return the file with everything in 8 bits, its input and output as floats.

    Signed 8-bit weights and signed 8-bit activations.

    Args:
        model: a float file that ``tflite_model.build`` wrote.
        ranges: of its activations, by ``ranges_of``.
        per_channel: whether each filter has a scale of its own.
        in_float: paths of layers that stay as they are.

    Raises:
        Exception: whatever the quantizer raises for a graph that it cannot quantise.
    """
    with silent(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worker = quantizer.Quantizer(model, _recipe(per_channel, in_float))
        found = worker.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(found.quantized_model)


def _recipe(per_channel: bool, in_float: Collection[str] = ()) -> list[dict[str, Any]]:
    recipes = recipe_manager.RecipeManager()
    recipes.add_static_config(
        regex=".*",
        operation_name=TFLOperationName.ALL_SUPPORTED,
        activation_num_bits=8,
        weight_num_bits=8,
        weight_granularity=(
            QuantGranularity.CHANNELWISE if per_channel else QuantGranularity.TENSORWISE
        ),
        algorithm_key=AlgorithmName.MIN_MAX_UNIFORM_QUANT,
    )
    for path in in_float:  # which the tensors that its operators yield are named by
        recipes.add_quantization_config(
            regex=rf"(^|;){re.escape(path)}[.;]",
            operation_name=TFLOperationName.ALL_SUPPORTED,
            algorithm_key=AlgorithmName.NO_QUANTIZE,
        )
    for end in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        recipes.add_quantization_config(
            regex=".*", operation_name=end, algorithm_key=AlgorithmName.NO_QUANTIZE
        )
    found: list[dict[str, Any]] = recipes.get_quantization_recipe()
    return found
