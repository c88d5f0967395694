"""A network, or any run of layers, as an ONNX graph written directly with ``onnx.helper``."""

import math
from collections.abc import Mapping
from typing import Any

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
    leaves,
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
    layers: tuple[Layer, ...],
    weights: Mapping[str, Array] | None = None,
    *,
    fold_norm: bool = True,
    batch: int | str = 1,
    seed: int = 0,
) -> onnx.ModelProto:
    """The graph of ``layers``, input ``image`` (batch, channels, px, px), output ``logits``.

    Args:
        weights: arrays by the torch module's state names; None draws random ones from ``seed``.
        fold_norm: whether batch norms are folded into the convolutions or written as nodes.
        batch: number of images, or a name for a batch that is free.
    """
    model, tensors = _written(layers, weights, fold_norm, batch, seed)
    for name, array in tensors.items():
        normal = without_denormals(array)
        model.graph.initializer.add(**_about(name, array), raw_data=normal.tobytes())
    return model


def without_denormals(array: Array) -> Array:
    """Return the array with numbers below 1.2e-38 as zeros: they make many runtimes very slow."""
    denormal = np.abs(array) < np.finfo(np.float32).tiny
    return np.where(denormal, np.float32(0), array) if denormal.any() else array


def serialised(
    layers: tuple[Layer, ...], weights: Mapping[str, Array] | None = None, *, seed: int = 0
) -> bytes:
    """The bytes of ``build``'s graph, norms folded, batch 1; several times as fast.

    Weights are copied once, by appending them to the graph as it is serialised without them: where
    a message occurs again, readers merge it (Protocol Buffers' encoding, "Last One Wins").
    """
    model, tensors = _written(layers, weights, True, 1, seed)
    parts: list[bytes | memoryview] = []
    for name, array in tensors.items():
        about = TensorProto(**_about(name, array)).SerializeToString()
        raw = _tag(TensorProto.RAW_DATA_FIELD_NUMBER, array.nbytes)
        own = _tag(onnx.GraphProto.INITIALIZER_FIELD_NUMBER, len(about) + len(raw) + array.nbytes)
        parts += [own, about, raw, array.data.cast("B")]
    graph = _tag(onnx.ModelProto.GRAPH_FIELD_NUMBER, sum(len(part) for part in parts))
    return b"".join([model.SerializeToString(), graph, *parts])


def _tag(field: int, length: int) -> bytes:
    """Head of a field with that number and as many bytes: two base-128 varints."""
    head = bytearray([field << 3 | 2])
    while length >= 128:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head)


def _about(name: str, array: Array) -> dict[str, Any]:
    return {"name": name, "dims": array.shape, "data_type": TensorProto.FLOAT}


def _written(
    layers: tuple[Layer, ...],
    weights: Mapping[str, Array] | None,
    fold_norm: bool,
    batch: int | str,
    seed: int,
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """The graph without its weights, and the weights by name, little-endian and contiguous."""
    shape_out: tuple[int, ...] = output_shape(layers[-1])
    if isinstance(layers[-1], Linear):
        shape_out = shape_out[:1]
    ends = [_tensor(INPUT, batch, input_shape(layers[0]))], [_tensor(OUTPUT, batch, shape_out)]
    model = helper.make_model(
        helper.make_graph([], "bneck", *ends),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    state = weights if weights is not None else random_weights(layers, seed)
    writer = _Writer(model.graph, state, fold_norm)
    writer.run(layers, INPUT)
    model.graph.node[-1].output[0] = OUTPUT
    return model, writer.tensors


def _tensor(name: str, batch: int | str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape])


def random_weights(layers: tuple[Layer, ...], seed: int) -> dict[str, Array]:
    """He-initialised arrays by state name, so that activations neither vanish nor overflow."""
    random = np.random.default_rng(seed)
    state: dict[str, Array] = {}
    for leaf in leaves(layers):
        if isinstance(leaf, Conv):
            fan_in = leaf.in_channels // leaf.groups
            shape: tuple[int, ...] = (leaf.out_channels, fan_in, leaf.kernel, leaf.kernel)
            state[f"{leaf.path}.conv.weight"] = _he(random, shape)
            if leaf.bias:
                state[f"{leaf.path}.conv.bias"] = np.zeros(leaf.out_channels, np.float32)
            else:
                for name, value in (("weight", 1), ("bias", 0), ("running_mean", 0)):
                    full = np.full(leaf.out_channels, value, np.float32)
                    state[f"{leaf.path}.norm.{name}"] = full
                state[f"{leaf.path}.norm.running_var"] = np.ones(leaf.out_channels, np.float32)
        elif isinstance(leaf, Linear):
            state[f"{leaf.path}.linear.weight"] = _he(random, (leaf.out_features, leaf.in_features))
            state[f"{leaf.path}.linear.bias"] = np.zeros(leaf.out_features, np.float32)
    return state


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

    def __init__(self, graph: onnx.GraphProto, state: Mapping[str, Array], fold_norm: bool) -> None:
        self.graph = graph
        self.state = state
        self.fold_norm = fold_norm
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
        if self.fold_norm or leaf.bias:
            weight, bias = folded(leaf, self.state)
            names = [
                self.constant(f"{leaf.path}.conv.weight", weight),
                self.constant(f"{leaf.path}.conv.bias", bias),
            ]
            return self.node("Conv", [x, *names], leaf.path, **attributes)
        x = self.node(
            "Conv", [x, self.constant(f"{leaf.path}.conv.weight")], leaf.path, **attributes
        )
        parts = ("weight", "bias", "running_mean", "running_var")
        names = [self.constant(f"{leaf.path}.norm.{part}") for part in parts]
        path = f"{leaf.path}.norm"
        return self.node("BatchNormalization", [x, *names], path, epsilon=NORMS[leaf.norm])

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


def _he(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    deviation = math.sqrt(2.0 / math.prod(shape[1:]))
    return (random.standard_normal(shape, np.float32) * deviation).astype(np.float32)
