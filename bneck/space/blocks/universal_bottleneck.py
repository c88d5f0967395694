"""MobileNetV4's block (arXiv 2404.10518, section 4, figure 4)."""

from dataclasses import dataclass

from bneck.errors import UsageError
from bneck.space.checks import check_channels, check_kernel, check_stride
from bneck.space.layers import Layer, bottleneck, check_activation, depthwise, pointwise


@dataclass(frozen=True, slots=True)
class UniversalBottleneck:
    """Optional depthwise, 1x1 expansion, optional depthwise, linear 1x1 projection.

    ``start`` and ``middle`` are the depthwise kernels, 0 where there is none: middle alone is the
    inverted bottleneck, start alone ConvNext's block, both "extra depthwise", none a feed-forward
    block. The stride is the middle one's, else the start's; the first has no activation. The input
    is added where the stride is 1 and the widths agree. ``expansion`` is a width, not a ratio.
    """

    start: int
    middle: int
    expansion: int
    out: int
    stride: int = 1
    activation: str = "relu"

    def __post_init__(self) -> None:
        for kernel in (self.start, self.middle):
            if kernel != 0 or isinstance(kernel, bool):
                check_kernel(kernel)
        check_channels("expansion", self.expansion)
        check_channels("out", self.out)
        check_stride(self.stride)
        check_activation(self.activation)
        if self.stride > 1 and not self.start and not self.middle:
            raise UsageError(f"stride {self.stride} needs a depthwise convolution: start or middle")

    def lower(self, path: str, in_channels: int, in_px: int, norm: str) -> tuple[Layer, ...]:
        body: list[Layer] = []
        px, act = in_px, self.activation
        if self.start:
            stride = 1 if self.middle else self.stride
            start = depthwise(f"{path}.start", in_channels, self.start, stride, px, "none", norm)
            body.append(start)
            px = start.out_px
        body.append(pointwise(f"{path}.expand", in_channels, self.expansion, px, act, norm))
        if self.middle:
            middle = depthwise(
                f"{path}.depthwise", self.expansion, self.middle, self.stride, px, act, norm
            )
            body.append(middle)
            px = middle.out_px
        body.append(pointwise(f"{path}.project", self.expansion, self.out, px, "none", norm))
        return bottleneck(path, in_channels, self.out, self.stride, body)
