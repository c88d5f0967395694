"""What ONNX Runtime's quantiser makes of a graph: which numbers are in 8 bits, and which scales."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from bneck.latency.runtimes.weights import norm_free
from bneck.space import presets
from bneck.space.backends import onnx_model
from bneck.space.backends.onnx_int8 import is_of, quantised

ARCH = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
IMAGES = np.random.default_rng(0).standard_normal((2, 1, 3, 32, 32), np.float32)


def graph_of(**options: object) -> onnx.GraphProto:
    model = onnx_model.build(*norm_free(ARCH.layers()))
    before = model.SerializeToString()
    found = onnx.load_from_string(quantised(model, iter(IMAGES), **options))
    assert model.SerializeToString() == before
    return found.graph


@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_are_signed_and_activations_unsigned(per_channel: bool) -> None:
    graph = graph_of(per_channel=per_channel)
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    read = {
        node.input[0]: [tensors[name] for name in node.input[1:]]
        for node in graph.node
        if node.op_type == "DequantizeLinear"
    }
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert convolutions
    for node in convolutions:
        image, weight, _ = (name.removesuffix("_DequantizeLinear_Output") for name in node.input)
        scale, zero = read[next(name for name in read if name.startswith(f"{weight}_quantized"))]
        filters = numpy_helper.to_array(tensors[f"{weight}_quantized"])
        assert zero.data_type == TensorProto.INT8
        assert numpy_helper.to_array(scale).size == (len(filters) if per_channel else 1)
        _, zero = read[next(name for name in read if name.startswith(f"{image}_QuantizeLinear"))]
        assert zero.data_type == TensorProto.UINT8


def test_layers_that_stay_in_float_are_named_whole() -> None:
    graph = graph_of(in_float=["s2.b1"])
    plain = {
        node.name
        for node in graph.node
        if node.op_type == "Conv" and not node.input[1].endswith("_DequantizeLinear_Output")
    }
    assert plain == {f"s2.b1.{part}" for part in ("expand", "depthwise", "project")}
    assert [is_of(name, ["s2.b1"]) for name in ("s2.b1", "s2.b1.x", "s2.b10", "s2")] == [
        True,
        True,
        False,
        False,
    ]
