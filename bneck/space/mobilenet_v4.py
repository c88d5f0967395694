"""MobileNetV4-Conv-Small as a table (arXiv 2404.10518)."""

from itertools import groupby

from bneck.space.architecture import Architecture
from bneck.space.blocks import Block, PlainConv, UniversalBottleneck
from bneck.space.heads import ConvPoolConvLinear
from bneck.space.layers import round_channels

# Conv-S as in timm: start kernel, middle kernel, expansion ratio, out, stride
V4_CONV_SMALL = (
    (5, 5, 3, 96, 2),  # 28 x 28 x 64
    (0, 3, 2, 96, 1),  # 14 x 14 x 96
    (0, 3, 2, 96, 1),  # 14 x 14 x 96
    (0, 3, 2, 96, 1),  # 14 x 14 x 96
    (0, 3, 2, 96, 1),  # 14 x 14 x 96
    (3, 0, 4, 96, 1),  # 14 x 14 x 96
    (3, 3, 6, 128, 2),  # 14 x 14 x 96
    (5, 5, 4, 128, 1),  # 7 x 7 x 128
    (0, 5, 4, 128, 1),  # 7 x 7 x 128
    (0, 5, 3, 128, 1),  # 7 x 7 x 128
    (0, 3, 4, 128, 1),  # 7 x 7 x 128
    (0, 3, 4, 128, 1),  # 7 x 7 x 128
)


def mobilenet_v4_conv_small(width: float) -> Architecture:
    """MobileNetV4-Conv-Small: stem and head width stay below width 1, as in timm."""
    stem = round_channels(32 * max(1.0, width))
    c32, c96, c64 = (round_channels(out * width) for out in (32, 96, 64))
    stages: list[tuple[Block, ...]] = [
        (PlainConv(3, c32, 2), PlainConv(1, c32)),
        (PlainConv(3, c96, 2),),
        (PlainConv(1, c64),),
    ]
    channels = c64
    for _, group in groupby(V4_CONV_SMALL, lambda row: row[3]):
        stage = []
        for start, middle, ratio, out, stride in group:
            block = UniversalBottleneck(
                start, middle, round_channels(ratio * channels), round_channels(out * width), stride
            )
            channels = block.out
            stage.append(block)
        stages.append(tuple(stage))
    head = ConvPoolConvLinear(round_channels(960 * width), 1280)
    return Architecture(PlainConv(3, stem, 2), tuple(stages), head)
