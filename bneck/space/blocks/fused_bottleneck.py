"""The fused inverted bottleneck (EfficientNet-EdgeTPU; MobileNetV4, arXiv 2404.10518)."""

from dataclasses import dataclass

from bneck.space.checks import check_channels, check_kernel, check_stride
from bneck.space.layers import Conv, Layer, bottleneck, check_activation, pointwise


@dataclass(frozen=True, slots=True)
class FusedBottleneck:
    """A plain convolution expands, a linear 1x1 convolution projects.

    ``expansion`` is a width, not a ratio. The input is added where the stride is 1 and the widths
    agree.
    """

    kernel: int
    expansion: int
    out: int
    stride: int = 1
    activation: str = "relu"

    def __post_init__(self) -> None:
        check_kernel(self.kernel)
        check_channels("expansion", self.expansion)
        check_channels("out", self.out)
        check_stride(self.stride)
        check_activation(self.activation)

    def lower(self, path: str, in_channels: int, in_px: int, norm: str) -> tuple[Layer, ...]:
        expand = Conv(
            path=f"{path}.expand",
            in_channels=in_channels,
            out_channels=self.expansion,
            kernel=self.kernel,
            stride=self.stride,
            groups=1,
            in_px=in_px,
            activation=self.activation,
            norm=norm,
        )
        project = pointwise(
            f"{path}.project", self.expansion, self.out, expand.out_px, "none", norm
        )
        return bottleneck(path, in_channels, self.out, self.stride, [expand, project])
