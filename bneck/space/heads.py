"""Layers behind the last block: pool and classifier, in the forms of the MobileNet family."""

from dataclasses import dataclass
from typing import Protocol

from bneck.space.checks import check_channels
from bneck.space.layers import Layer, Linear, Pool, check_activation, pointwise


class Head(Protocol):
    """Interface of every head."""

    def __hash__(self) -> int: ...

    def lower(self, in_channels: int, in_px: int, classes: int, norm: str) -> tuple[Layer, ...]:
        """(in_channels, in_px, in_px) -> (classes,) logits

        Args:
            in_channels: channels of the last block's output.
            in_px: side of that output, px.
            classes: number of logits.
            norm: a word of ``NORMS``, the batch norm of the head's convolutions.
        """
        ...


@dataclass(frozen=True, slots=True)
class PoolLinear:
    """Pool, classifier (MobileNetV1, table 1)."""

    def lower(self, in_channels: int, in_px: int, classes: int, norm: str) -> tuple[Layer, ...]:
        return (
            Pool("head.pool", in_channels, in_px),
            Linear("head.classifier", in_channels, classes, "none"),
        )


@dataclass(frozen=True, slots=True)
class ConvPoolLinear:
    """1x1 convolution, pool, classifier (MobileNetV2, table 2; MnasNet)."""

    width: int
    activation: str = "relu"

    def __post_init__(self) -> None:
        check_channels("head width", self.width)
        check_activation(self.activation)

    def lower(self, in_channels: int, in_px: int, classes: int, norm: str) -> tuple[Layer, ...]:
        return (
            pointwise("head.conv", in_channels, self.width, in_px, self.activation, norm),
            Pool("head.pool", self.width, in_px),
            Linear("head.classifier", self.width, classes, "none"),
        )


@dataclass(frozen=True, slots=True)
class ConvPoolLinearLinear:
    """1x1 convolution, pool, hidden layer, classifier: V3's rebuilt last stage (section 5.1)."""

    width: int
    hidden: int
    activation: str = "hswish"

    def __post_init__(self) -> None:
        check_channels("head width", self.width)
        check_channels("head hidden width", self.hidden)
        check_activation(self.activation)

    def lower(self, in_channels: int, in_px: int, classes: int, norm: str) -> tuple[Layer, ...]:
        return (
            pointwise("head.conv", in_channels, self.width, in_px, self.activation, norm),
            Pool("head.pool", self.width, in_px),
            Linear("head.hidden", self.width, self.hidden, self.activation),
            Linear("head.classifier", self.hidden, classes, "none"),
        )


@dataclass(frozen=True, slots=True)
class ConvPoolConvLinear:
    """1x1 convolution, pool, 1x1 convolution with batch norm, classifier (MobileNetV4)."""

    width: int
    hidden: int
    activation: str = "relu"

    def __post_init__(self) -> None:
        check_channels("head width", self.width)
        check_channels("head hidden width", self.hidden)
        check_activation(self.activation)

    def lower(self, in_channels: int, in_px: int, classes: int, norm: str) -> tuple[Layer, ...]:
        return (
            pointwise("head.conv", in_channels, self.width, in_px, self.activation, norm),
            Pool("head.pool", self.width, in_px),
            pointwise("head.hidden", self.width, self.hidden, 1, self.activation, norm),
            Linear("head.classifier", self.hidden, classes, "none"),
        )


HEADS: dict[str, type[Head]] = {
    "pool_linear": PoolLinear,
    "conv_pool_linear": ConvPoolLinear,
    "conv_pool_linear_linear": ConvPoolLinearLinear,
    "conv_pool_conv_linear": ConvPoolConvLinear,
}
