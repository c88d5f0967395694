"""The bottleneck block of MobileNetV2, MnasNet and MobileNetV3."""

from dataclasses import dataclass
from functools import lru_cache

from bneck.space.blocks.squeeze_excite import GATES, SQUEEZES, lower_squeeze_excite, squeeze_width
from bneck.space.checks import check_channels, check_kernel, check_stride, check_word
from bneck.space.layers import Layer, bottleneck, check_activation, depthwise, pointwise


@dataclass(frozen=True, slots=True)
class InvertedResidual:
    """1x1 expansion, depthwise convolution, squeeze-excite, linear 1x1 projection (V3, figure 4).

    ``expansion`` is a width, not a ratio. Where it equals the block's input width the expansion
    layer is left out, as in the reference implementations. The input is added where the stride is 1
    and the widths agree (V2, section 3.3).
    """

    kernel: int
    expansion: int
    out: int
    stride: int = 1
    se: str = "none"
    activation: str = "relu"
    gate: str = "hsigmoid"

    def __post_init__(self) -> None:
        check_kernel(self.kernel)
        check_channels("expansion", self.expansion)
        check_channels("out", self.out)
        check_stride(self.stride)
        check_word("se", self.se, SQUEEZES)
        check_activation(self.activation)
        check_word("gate", self.gate, GATES)

    def lower(self, path: str, in_channels: int, in_px: int, norm: str) -> tuple[Layer, ...]:
        body: list[Layer] = []
        if self.expansion != in_channels:
            act = self.activation
            body.append(pointwise(f"{path}.expand", in_channels, self.expansion, in_px, act, norm))
        wide = depthwise(
            f"{path}.depthwise",
            self.expansion,
            self.kernel,
            self.stride,
            in_px,
            self.activation,
            norm,
        )
        body.append(wide)
        if self.se != "none":
            squeeze = squeeze_width(self.se, self.expansion, in_channels)
            body += lower_squeeze_excite(
                f"{path}.se", self.expansion, squeeze, wide.out_px, self.gate
            )
        body.append(
            pointwise(f"{path}.project", self.expansion, self.out, wide.out_px, "none", norm)
        )
        return bottleneck(path, in_channels, self.out, self.stride, body)


inverted_residual = lru_cache(maxsize=65536)(InvertedResidual)
"""The same block, checked once: the networks of a space have most of their blocks in common."""
