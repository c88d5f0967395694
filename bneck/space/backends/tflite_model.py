"""A network, or any run of layers, as a LiteRT (TensorFlow Lite) file written straight from them.

Images are NHWC. Only the schema classes of the wheel ``ai-edge-litert`` are needed: no TensorFlow,
no converter.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from bneck.space.backends.onnx_model import folded, without_denormals
from bneck.space.backends.tflite_content import packed, with_notes
from bneck.space.layers import Conv, Layer, Leaf, Linear, Pool, Residual, input_shape, output_shape

INPUT, OUTPUT = "image", "logits"
SIGNATURE = "serving_default"
VERSION = 3

Array = NDArray[Any]
Shape = tuple[int, ...]
_Op = schema.BuiltinOperator
_Options = schema.BuiltinOptions
_Fused = schema.ActivationFunctionType

_FUSED = {"none": _Fused.NONE, "relu": _Fused.RELU, "relu6": _Fused.RELU6}
"""Activations that an operator applies by itself."""


def build(
    layers: tuple[Layer, ...],
    weights: Mapping[str, NDArray[np.float32]],
    *,
    batch: int = 1,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return a file's content: input (batch, px, px, channels), output (batch, classes).

    Batch norms are folded into the convolutions.

    Args:
        layers: what to write.
        weights: arrays by the torch module's state names.
        batch: number of images.
        metadata: texts to store in the file, by name.
    """
    writer = _Writer(weights)
    channels, px, _ = input_shape(layers[0])
    image = writer.tensor(INPUT, (batch, px, px, channels))
    end = writer.run(layers, image)
    writer.graph.tensors[end].name = OUTPUT
    writer.graph.inputs, writer.graph.outputs = [image], [end]
    data = writer.packed()
    return with_notes(data, metadata) if metadata else data


class _Writer:
    """Adds tensors and operators to a graph; tensors are meant by their places in it."""

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self.weights = weights
        self.model = schema.ModelT()
        self.graph = schema.SubGraphT()
        self.graph.name, self.graph.tensors, self.graph.operators = "bneck", [], []
        self.model.version, self.model.description = VERSION, "bneck"
        self.model.subgraphs, self.model.operatorCodes = [self.graph], []
        self.model.buffers = [schema.BufferT()]
        self.codes: dict[int, int] = {}

    def run(self, layers: tuple[Layer, ...], x: int) -> int:
        for layer in layers:
            if isinstance(layer, Conv | Pool | Linear):
                x = self.leaf(layer, x)
                continue
            body = self.run(layer.body, x)
            op = _Op.ADD if isinstance(layer, Residual) else _Op.MUL
            x = self.binary(op, x, body, layer.path)
        return x

    def leaf(self, leaf: Leaf, x: int) -> int:
        batch = self.shape(x)[0]
        if isinstance(leaf, Pool):
            options = schema.ReducerOptionsT()
            options.keepDims = True
            axes = self.constant(f"{leaf.path}.axes", np.array([1, 2], np.int32))
            mean = batch, 1, 1, leaf.channels
            return self.node(_Op.MEAN, [x, axes], mean, leaf.path, options)
        if isinstance(leaf, Linear):
            names = (f"{leaf.path}.linear.{part}" for part in ("weight", "bias"))
            inputs = [x, *(self.constant(name, self.weights[name]) for name in names)]
            dense = schema.FullyConnectedOptionsT()
            dense.fusedActivationFunction = _FUSED.get(leaf.activation, _Fused.NONE)
            shape = batch, leaf.out_features
            y = self.node(_Op.FULLY_CONNECTED, inputs, shape, leaf.path, dense)
            return self.activated(y, leaf)
        return self.activated(self.conv(leaf, x, batch), leaf)

    def conv(self, leaf: Conv, x: int, batch: int) -> int:
        """A convolution with torch's padding: ``kernel // 2`` on all sides.

        Args:
            leaf: the convolution.
            x: its input, of shape (batch, px, px, channels).
            batch: number of images.
        """
        options: Any
        weight, bias = folded(leaf, self.weights)
        if leaf.depthwise:
            options, op = schema.DepthwiseConv2DOptionsT(), _Op.DEPTHWISE_CONV_2D
            options.depthMultiplier = 1
            weight = weight.transpose(1, 2, 3, 0)  # (1, kernel, kernel, channels)
        else:
            options, op = schema.Conv2DOptionsT(), _Op.CONV_2D
            weight = weight.transpose(0, 2, 3, 1)  # (out, kernel, kernel, in)
        options.strideW = options.strideH = leaf.stride
        options.dilationWFactor = options.dilationHFactor = 1
        options.fusedActivationFunction = _FUSED.get(leaf.activation, _Fused.NONE)
        if pads_as_torch(leaf):
            options.padding = schema.Padding.SAME
        else:
            x = self.pad(x, leaf.kernel // 2, leaf.path)
            options.padding = schema.Padding.VALID
        inputs = [
            x,
            self.constant(f"{leaf.path}.conv.weight", weight),
            self.constant(f"{leaf.path}.conv.bias", bias),
        ]
        _, px, _ = output_shape(leaf)
        shape = batch, px, px, leaf.out_channels
        return self.node(op, inputs, shape, leaf.path, options)

    def pad(self, x: int, by: int, path: str) -> int:
        """Zeros around the image; runtimes fuse them with the convolution that follows.

        Args:
            x: the image, of shape (batch, height, width, channels).
            by: px on each of the four sides.
            path: of the layer that the zeros are for; names the new tensors.
        """
        around = np.array([[0, 0], [by, by], [by, by], [0, 0]], np.int32)
        batch, height, width, channels = self.shape(x)
        shape = batch, height + 2 * by, width + 2 * by, channels
        inputs = [x, self.constant(f"{path}.padding", around)]
        return self.node(_Op.PAD, inputs, shape, f"{path}.pad", schema.PadOptionsT())

    def activated(self, x: int, leaf: Conv | Linear) -> int:
        """The activation, unless the operator before has applied it."""
        path = f"{leaf.path}.{leaf.activation}"
        if leaf.activation in _FUSED:
            return x
        if leaf.activation == "hswish":
            return self.node(_Op.HARD_SWISH, [x], self.shape(x), path, schema.HardSwishOptionsT())
        if leaf.activation == "sigmoid":
            return self.node(_Op.LOGISTIC, [x], self.shape(x), path)
        three = self.constant(f"{path}.three", np.array(3, np.float32))
        sixth = self.constant(f"{path}.sixth", np.array(1 / 6, np.float32))
        x = self.binary(_Op.ADD, x, three, f"{path}.relu6", _Fused.RELU6)
        return self.binary(_Op.MUL, x, sixth, path)

    def binary(self, op: int, a: int, b: int, path: str, fused: int = _Fused.NONE) -> int:
        options = schema.AddOptionsT() if op == _Op.ADD else schema.MulOptionsT()
        options.fusedActivationFunction = fused
        return self.node(op, [a, b], self.shape(a), path, options)

    def node(self, op: int, inputs: list[int], shape: Shape, path: str, options: Any = None) -> int:
        """Add an operator; returns its output.

        Args:
            op: a code of ``BuiltinOperator``.
            inputs: the tensors that it reads, in its order.
            shape: of its output, the batch first.
            path: name of its output.
            options: the operator's own settings, one of ``BuiltinOptions``; None for none.
        """
        if op not in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.version = op, min(op, 127), 1
            self.codes[op] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs = self.codes[op], inputs
        operator.outputs = [self.tensor(path, shape)]
        kind = "NONE" if options is None else type(options).__name__.removesuffix("T")
        operator.builtinOptionsType, operator.builtinOptions = getattr(_Options, kind), options
        self.graph.operators.append(operator)
        return int(operator.outputs[0])

    def tensor(self, name: str, shape: Shape, buffer: int = 0, kind: int | None = None) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), buffer
        tensor.type = schema.TensorType.FLOAT32 if kind is None else kind
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, name: str, array: Array) -> int:
        number = array.dtype == np.int32
        if not number:
            array = without_denormals(np.ascontiguousarray(array, "<f4").reshape(array.shape))
        kind = schema.TensorType.INT32 if number else schema.TensorType.FLOAT32
        return self.tensor(name, array.shape, self.buffer(array.tobytes()), kind)

    def buffer(self, data: bytes) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def shape(self, tensor: int) -> Shape:
        return tuple(self.graph.tensors[tensor].shape)

    def packed(self) -> bytes:
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
        signature.inputs, signature.outputs = [], []
        for name, place, entries in (
            (INPUT, self.graph.inputs[0], signature.inputs),
            (OUTPUT, self.graph.outputs[0], signature.outputs),
        ):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name, place
            entries.append(entry)
        self.model.signatureDefs = [signature]
        return packed(self.model)


def pads_as_torch(leaf: Conv) -> bool:
    """Return whether "SAME" padding is ``kernel // 2`` on all sides.

    With a stride of 2 and an even side it is one pixel less before than after.
    """
    total = max((leaf.out_px - 1) * leaf.stride + leaf.kernel - leaf.in_px, 0)
    return total // 2 == leaf.kernel // 2
