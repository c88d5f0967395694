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
        """(in_channels, in_px, in_px) -> (out, in_px / stride, in_px / stride), sides rounded up

        Args:
            path: of the block, such as "s2.b1"; its layers' paths begin with it.
            in_channels: channels of the input.
            in_px: side of the input, px.
            norm: a word of ``NORMS``, the batch norm of the convolution, if there is one.
        """
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
