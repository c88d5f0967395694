"""The block that does nothing, or only what the shapes force it to."""

from dataclasses import dataclass

from bneck.space.checks import check_channels, check_stride
from bneck.space.layers import Conv, Layer


@dataclass(frozen=True, slots=True)
class Identity:
    """Nothing; where shapes must change, a 1x1 convolution and batch norm (NAS-Bench-Macro)."""

    out: int
    stride: int = 1

    def __post_init__(self) -> None:
        check_channels("out", self.out)
        check_stride(self.stride)

    def lower(self, path: str, in_channels: int, in_px: int, norm: str) -> tuple[Layer, ...]:
        if self.stride == 1 and in_channels == self.out:
            return ()
        conv = Conv(
            path=f"{path}.conv",
            in_channels=in_channels,
            out_channels=self.out,
            kernel=1,
            stride=self.stride,
            groups=1,
            in_px=in_px,
            activation="none",
            norm=norm,
        )
        return (conv,)
