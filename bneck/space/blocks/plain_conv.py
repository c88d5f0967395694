"""A plain convolution: the stem of every MobileNet."""

from dataclasses import dataclass

from bneck.space.checks import check_channels, check_kernel, check_stride
from bneck.space.layers import Conv, Layer, check_activation


@dataclass(frozen=True, slots=True)
class PlainConv:
    """Convolution, batch norm, activation."""

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
        conv = Conv(
            path=f"{path}.conv",
            in_channels=in_channels,
            out_channels=self.out,
            kernel=self.kernel,
            stride=self.stride,
            groups=1,
            in_px=in_px,
            activation=self.activation,
            norm=norm,
        )
        return (conv,)
