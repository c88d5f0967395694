"""MobileNetV1's block (arXiv 1704.04861, section 3.1)."""

from dataclasses import dataclass

from bneck.space.checks import check_channels, check_kernel, check_stride
from bneck.space.layers import Layer, check_activation, depthwise, pointwise


@dataclass(frozen=True, slots=True)
class DepthwiseSeparable:
    """Depthwise convolution, then pointwise, batch norm and activation after each; no residual."""

    kernel: int
    out: int
    stride: int = 1
    activation: str = "relu"

    def __post_init__(self) -> None:
        check_kernel(self.kernel)
        check_channels("out", self.out)
        check_stride(self.stride)
        check_activation(self.activation)

    def lower(self, path: str, in_channels: int, in_px: int, norm: str) -> tuple[Layer, ...]:
        act = self.activation
        first = depthwise(
            f"{path}.depthwise", in_channels, self.kernel, self.stride, in_px, act, norm
        )
        return (first, pointwise(f"{path}.project", in_channels, self.out, first.out_px, act, norm))
