"""A network, or any run of layers, as an ONNX graph written directly with ``onnx.helper``."""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, helper

from bneck.space.layers import (
    NORMS,
    Conv,
    Layer,
    Leaf,
    Linear,
    Pool,
    Residual,
    input_shape,
    output_shape,
)

OPSET = 17
IR_VERSION = 8
INPUT, OUTPUT = "image", "logits"
Array = NDArray[np.float32]
Attribute = int | float | list[int]

_ACTIVATIONS: dict[str, tuple[str, dict[str, float]]] = {
    "relu": ("Relu", {}),
    "hswish": ("HardSwish", {}),
    "sigmoid": ("Sigmoid", {}),
    "hsigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
}


def build(
    layers: tuple[Layer, ...], weights: Mapping[str, Array], *, batch: int | str = 1
) -> onnx.ModelProto:
    """Return the graph of ``layers``, input ``image`` (batch, channels, px, px), output ``logits``.

    Batch norms are folded into the convolutions.

    Args:
        layers: a network's, or any run of them.
        weights: arrays by the torch module's state names.
        batch: number of images, or a name for a batch of any size.
    """
    shape_out: tuple[int, ...] = output_shape(layers[-1])
    if isinstance(layers[-1], Linear):
        shape_out = shape_out[:1]
    ends = [_tensor(INPUT, batch, input_shape(layers[0]))], [_tensor(OUTPUT, batch, shape_out)]
    model = helper.make_model(
        helper.make_graph([], "bneck", *ends),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    writer = _Writer(model.graph, weights)
    writer.run(layers, INPUT)
    model.graph.node[-1].output[0] = OUTPUT
    for name, array in writer.tensors.items():
        normal = without_denormals(array)
        model.graph.initializer.add(
            name=name, dims=array.shape, data_type=TensorProto.FLOAT, raw_data=normal.tobytes()
        )
    return model


def without_denormals(array: Array) -> Array:
    """Return the array with numbers below 1.2e-38 as zeros: they make many runtimes very slow."""
    denormal = np.abs(array) < np.finfo(np.float32).tiny
    return np.where(denormal, np.float32(0), array) if denormal.any() else array


def _tensor(name: str, batch: int | str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape])


def folded(leaf: Conv, state: Mapping[str, Array]) -> tuple[Array, Array]:
    """Weight and bias of a convolution with its batch norm folded in."""
    weight = state[f"{leaf.path}.conv.weight"]
    if leaf.bias:
        return weight, state[f"{leaf.path}.conv.bias"]
    scale, shift, mean, var = (
        np.asarray(state[f"{leaf.path}.norm.{name}"], np.float64)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    factor = scale / np.sqrt(var + NORMS[leaf.norm])
    return (
        weight * factor.astype(np.float32)[:, None, None, None],
        (shift - mean * factor).astype(np.float32),
    )


class _Writer:
    """Adds nodes to a graph and collects its tensors; names are the layers' paths."""

    def __init__(self, graph: onnx.GraphProto, state: Mapping[str, Array]) -> None:
        self.graph = graph
        self.state = state
        self.tensors: dict[str, Array] = {}

    def run(self, layers: tuple[Layer, ...], x: str) -> str:
        for layer in layers:
            if isinstance(layer, Conv | Pool | Linear):
                x = self.leaf(layer, x)
            else:
                body = self.run(layer.body, x)
                op = "Add" if isinstance(layer, Residual) else "Mul"
                x = self.node(op, [x, body], f"{layer.path}.{op.lower()}")
        return x

    def leaf(self, leaf: Leaf, x: str) -> str:
        if isinstance(leaf, Pool):
            return self.node("GlobalAveragePool", [x], leaf.path)
        if isinstance(leaf, Linear):
            flat = self.node("Flatten", [x], f"{leaf.path}.flatten")
            names = [self.constant(f"{leaf.path}.linear.{part}") for part in ("weight", "bias")]
            return self.activate(self.node("Gemm", [flat, *names], leaf.path, transB=1), leaf)
        return self.activate(self.conv(leaf, x), leaf)

    def conv(self, leaf: Conv, x: str) -> str:
        attributes: dict[str, Attribute] = {
            "kernel_shape": [leaf.kernel] * 2,
            "strides": [leaf.stride] * 2,
            "pads": [leaf.kernel // 2] * 4,
            "group": leaf.groups,
        }
        weight, bias = folded(leaf, self.state)
        names = [
            self.constant(f"{leaf.path}.conv.weight", weight),
            self.constant(f"{leaf.path}.conv.bias", bias),
        ]
        return self.node("Conv", [x, *names], leaf.path, **attributes)

    def activate(self, x: str, leaf: Conv | Linear) -> str:
        if leaf.activation == "none":
            return x
        path = f"{leaf.path}.{leaf.activation}"
        if leaf.activation == "relu6":
            bounds = [self.scalar("zero", 0.0), self.scalar("six", 6.0)]
            return self.node("Clip", [x, *bounds], path)
        op, attributes = _ACTIVATIONS[leaf.activation]
        return self.node(op, [x], path, **attributes)

    def node(self, op: str, inputs: list[str], path: str, **attributes: Attribute) -> str:
        node = self.graph.node.add(op_type=op, input=inputs, output=[path], name=path)
        for name, value in attributes.items():
            if isinstance(value, list):
                node.attribute.add(name=name, type=AttributeProto.INTS, ints=value)
            elif isinstance(value, int):
                node.attribute.add(name=name, type=AttributeProto.INT, i=value)
            else:
                node.attribute.add(name=name, type=AttributeProto.FLOAT, f=value)
        return path

    def constant(self, name: str, value: Array | None = None) -> str:
        array = self.state[name] if value is None else value
        self.tensors[name] = np.ascontiguousarray(array, "<f4").reshape(np.shape(array))
        return name

    def scalar(self, name: str, value: float) -> str:
        return self.constant(name, np.array(value, np.float32))
