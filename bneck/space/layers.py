"""The few primitives that every network is lowered to, and the arithmetic they share.

Sides are in pixels, inputs are square, one image at a time. Convolutions pad by ``kernel // 2``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bneck.errors import UsageError
from bneck.space.checks import check_word

ACTIVATIONS = ("none", "relu", "relu6", "hswish", "sigmoid", "hsigmoid")
"""Words for ``activation``; hswish and hsigmoid as in MobileNetV3 section 5.2."""

NORMS = {"none": 0.0, "bn": 1e-5, "bn_v3": 1e-3}
"""Words for ``norm`` and the epsilon of the batch norm; V3's reference uses 1e-3."""


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution, then batch norm unless ``norm`` is "none", then the activation.

    (in_channels, in_px, in_px) -> (out_channels, out_px, out_px)
    """

    path: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    groups: int
    in_px: int
    activation: str
    norm: str

    def __post_init__(self) -> None:
        if self.groups < 1 or self.in_channels % self.groups or self.out_channels % self.groups:
            raise UsageError(
                f"{self.path}: {self.in_channels} to {self.out_channels} channels do not divide "
                f"into {self.groups} groups"
            )

    @property
    def out_px(self) -> int:
        return (self.in_px - 1) // self.stride + 1

    @property
    def bias(self) -> bool:
        """Whether there is a bias: where no batch norm brings one."""
        return self.norm == "none"

    @property
    def depthwise(self) -> bool:
        return self.groups == self.in_channels == self.out_channels and self.groups > 1

    @property
    def grouped(self) -> bool:
        """Whether each of several groups of outputs reads a group of inputs of its own."""
        return self.groups > 1 and not self.depthwise


def pointwise(
    path: str, in_channels: int, out_channels: int, in_px: int, activation: str, norm: str
) -> Conv:
    """A 1x1 convolution.

    Args:
        path: of the layer.
        in_channels: channels that it reads.
        out_channels: channels that it yields.
        in_px: side of its input, px.
        activation: a word of ``ACTIVATIONS``.
        norm: a word of ``NORMS``.
    """
    return Conv(path, in_channels, out_channels, 1, 1, 1, in_px, activation, norm)


def depthwise(
    path: str, channels: int, kernel: int, stride: int, in_px: int, activation: str, norm: str
) -> Conv:
    """A convolution with one filter per channel.

    Args:
        path: of the layer.
        channels: channels that it reads and yields.
        kernel: side of its filters, px.
        stride: step of its filters, px.
        in_px: side of its input, px.
        activation: a word of ``ACTIVATIONS``.
        norm: a word of ``NORMS``.
    """
    return Conv(path, channels, channels, kernel, stride, channels, in_px, activation, norm)


@dataclass(frozen=True, slots=True)
class Pool:
    """Global average pool. (channels, in_px, in_px) -> (channels, 1, 1)"""

    path: str
    channels: int
    in_px: int


@dataclass(frozen=True, slots=True)
class Linear:
    """Fully connected layer with bias on a flattened 1 x 1 map, then the activation."""

    path: str
    in_features: int
    out_features: int
    activation: str


@dataclass(frozen=True, slots=True)
class Scale:
    """x * body(x), the body ending in one factor per channel: squeeze-excite."""

    path: str
    body: "tuple[Layer, ...]"


@dataclass(frozen=True, slots=True)
class Residual:
    """x + body(x)"""

    path: str
    body: "tuple[Layer, ...]"


Layer = Conv | Pool | Linear | Scale | Residual
Leaf = Conv | Pool | Linear


def bottleneck(
    path: str, in_channels: int, out: int, stride: int, body: list[Layer]
) -> tuple[Layer, ...]:
    """The body, added to its input where the stride is 1 and the widths agree (V2, section 3.3).

    Args:
        path: of the block.
        in_channels: channels that the body reads.
        out: channels that the body yields.
        stride: of the body as a whole.
        body: its layers in the order they run.
    """
    if stride == 1 and in_channels == out:
        return (Residual(path, tuple(body)),)
    return tuple(body)


def leaves(layers: tuple[Layer, ...]) -> Iterator[Leaf]:
    """The primitives that hold no others, in the order they run."""
    for layer in layers:
        if isinstance(layer, Scale | Residual):
            yield from leaves(layer.body)
        else:
            yield layer


def input_shape(layer: Layer) -> tuple[int, int, int]:
    """(channels, px, px) of what the layer reads."""
    if isinstance(layer, Conv):
        return layer.in_channels, layer.in_px, layer.in_px
    if isinstance(layer, Pool):
        return layer.channels, layer.in_px, layer.in_px
    if isinstance(layer, Linear):
        return layer.in_features, 1, 1
    return input_shape(layer.body[0])


def output_shape(layer: Layer) -> tuple[int, int, int]:
    """(channels, px, px) of what the layer yields."""
    if isinstance(layer, Conv):
        return layer.out_channels, layer.out_px, layer.out_px
    if isinstance(layer, Pool):
        return layer.channels, 1, 1
    if isinstance(layer, Linear):
        return layer.out_features, 1, 1
    return input_shape(layer)


def round_channels(channels: float) -> int:
    """The multiple of 8 nearest to ``channels``, never below 90 % of it (V2)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def check_activation(word: str) -> None:
    """Raise UsageError unless ``word`` is an activation."""
    check_word("activation", word, ACTIVATIONS)
