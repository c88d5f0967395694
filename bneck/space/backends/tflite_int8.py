"""A LiteRT file in 8 bits, by Google's ai-edge-quantizer."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from ai_edge_quantizer import quantizer, recipe_manager
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.qtyping import TFLOperationName
from numpy.typing import NDArray

from bneck.space.backends.tflite_model import INPUT, SIGNATURE
from bneck.space.backends.tflite_session import silent


def quantised(model: bytes, images: Iterable[NDArray[np.float32]]) -> bytes:
    """Return the file with everything in 8 bits, its input and output as floats.

    Signed 8-bit weights by channel and signed 8-bit activations.

    Args:
        model: a float file that ``tflite_model.build`` wrote.
        images: inputs, (1, px, px, channels) each, on which the ranges of activations are found.

    Raises:
        Exception: whatever the quantizer raises for a graph that it cannot quantise.
    """
    feeds = [{INPUT: np.ascontiguousarray(image)} for image in images]
    with silent(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worker = quantizer.Quantizer(model, _recipe())
        ranges = worker.calibrate({SIGNATURE: feeds}, num_threads=1)
        found = worker.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(found.quantized_model)


def _recipe() -> list[dict[str, Any]]:
    recipes = recipe_manager.RecipeManager()
    recipes.add_static_config(
        regex=".*",
        operation_name=TFLOperationName.ALL_SUPPORTED,
        activation_num_bits=8,
        weight_num_bits=8,
        algorithm_key=AlgorithmName.MIN_MAX_UNIFORM_QUANT,
    )
    for end in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        recipes.add_quantization_config(
            regex=".*", operation_name=end, algorithm_key=AlgorithmName.NO_QUANTIZE
        )
    found: list[dict[str, Any]] = recipes.get_quantization_recipe()
    return found
