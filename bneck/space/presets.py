"""The published networks, as tables that read like the papers'; V3 and V4 have files of their own.

Each is built at any width multiplier and input side; channels are rounded to multiples of 8, never
below 90 %. Each row of a table ends in the size of its input at 224 px and width 1. Stages group
rows of equal published width, so paths do not move with the multiplier.
"""

from collections.abc import Callable
from itertools import groupby

from bneck.quantities import plain
from bneck.space.architecture import Architecture
from bneck.space.blocks import DepthwiseSeparable, InvertedResidual, PlainConv
from bneck.space.checks import check_between, check_word
from bneck.space.heads import ConvPoolLinear, PoolLinear
from bneck.space.layers import round_channels
from bneck.space.mobilenet_v3 import (
    V3_LARGE,
    V3_SMALL,
    minimal,
    mobilenet_v3,
    mobilenet_v3_075,
    reduced,
)
from bneck.space.mobilenet_v4 import mobilenet_v4_conv_small

SE, NO = True, False

MOBILENET_V3_SMALL = "mobilenet_v3_small"
"""The network that others are timed against and compared with."""

# arXiv 1704.04861, table 1: out, stride
V1 = (
    (64, 1),  # 112 x 112 x 32
    (128, 2),  # 112 x 112 x 64
    (128, 1),  # 56 x 56 x 128
    (256, 2),  # 56 x 56 x 128
    (256, 1),  # 28 x 28 x 256
    (512, 2),  # 28 x 28 x 256
    (512, 1),  # 14 x 14 x 512
    (512, 1),  # 14 x 14 x 512
    (512, 1),  # 14 x 14 x 512
    (512, 1),  # 14 x 14 x 512
    (512, 1),  # 14 x 14 x 512
    (1024, 2),  # 14 x 14 x 512
    (1024, 1),  # 7 x 7 x 1024
)

# arXiv 1801.04381, table 2: expansion ratio, out, repeats, stride
V2 = (
    (1, 16, 1, 1),  # 112 x 112 x 32
    (6, 24, 2, 2),  # 112 x 112 x 16
    (6, 32, 3, 2),  # 56 x 56 x 24
    (6, 64, 4, 2),  # 28 x 28 x 32
    (6, 96, 3, 1),  # 14 x 14 x 64
    (6, 160, 3, 2),  # 14 x 14 x 96
    (6, 320, 1, 1),  # 7 x 7 x 160
)

# MnasNet (CVPR 2019), figure 7: kernel, stride, expansion ratio, out, repeats, SE
MNASNET_A1 = (
    (3, 1, 1, 16, 1, NO),  # 112 x 112 x 32
    (3, 2, 6, 24, 2, NO),  # 112 x 112 x 16
    (5, 2, 3, 40, 3, SE),  # 56 x 56 x 24
    (3, 2, 6, 80, 4, NO),  # 28 x 28 x 40
    (3, 1, 6, 112, 2, SE),  # 14 x 14 x 80
    (5, 2, 6, 160, 3, SE),  # 14 x 14 x 112
    (3, 1, 6, 320, 1, NO),  # 7 x 7 x 160
)
MNASNET_B1 = (
    (3, 1, 1, 16, 1, NO),  # 112 x 112 x 32
    (3, 2, 3, 24, 3, NO),  # 112 x 112 x 16
    (5, 2, 3, 40, 3, NO),  # 56 x 56 x 24
    (5, 2, 6, 80, 3, NO),  # 28 x 28 x 40
    (3, 1, 6, 96, 2, NO),  # 14 x 14 x 80
    (5, 2, 6, 192, 4, NO),  # 14 x 14 x 96
    (3, 1, 6, 320, 1, NO),  # 7 x 7 x 192
)
MNASNET_SMALL = (
    (3, 1, 1, 8, 1, NO),  # 112 x 112 x 8
    (3, 2, 3, 16, 1, NO),  # 112 x 112 x 8
    (3, 2, 6, 16, 2, NO),  # 56 x 56 x 16
    (5, 2, 6, 32, 4, SE),  # 28 x 28 x 16
    (3, 1, 6, 32, 3, SE),  # 14 x 14 x 32
    (5, 2, 6, 88, 3, SE),  # 14 x 14 x 32
    (3, 1, 6, 144, 1, NO),  # 7 x 7 x 88
)

MnasRows = tuple[tuple[int, int, int, int, int, bool], ...]


def build(
    name: str, *, width: float = 1.0, resolution_px: int = 224, classes: int = 1000
) -> Architecture:
    """Build a published network at a width multiplier and an input side.

    Args:
        name: a key of ``PRESETS``.
        width: the width multiplier, 0.05 to 8.
        resolution_px: side of the images, 8 to 2048 px.
        classes: number of classes, 2 to 100,000.

    Raises:
        UsageError: unknown name, or a width, side or class count out of range.
    """
    check_word("preset", name, PRESETS)
    width, resolution_px, classes = map(plain, (width, resolution_px, classes))
    check_between("width", width, 0.05, 8)
    return PRESETS[name](width).at(resolution_px=resolution_px, classes=classes)


def mobilenet_v1(width: float) -> Architecture:
    """MobileNetV1: the width multiplier scales every channel count (section 3.3)."""
    rows = [(row, DepthwiseSeparable(3, round_channels(row[0] * width), row[1])) for row in V1]
    stages = tuple(
        tuple(block for _, block in group) for _, group in groupby(rows, lambda pair: pair[0][0])
    )
    return Architecture(PlainConv(3, round_channels(32 * width), 2), stages, PoolLinear())


def mobilenet_v2(width: float) -> Architecture:
    """MobileNetV2: the last convolution is never narrowed below 1280."""
    rows = tuple((3, stride, ratio, out, repeats, NO) for ratio, out, repeats, stride in V2)
    stem = PlainConv(3, round_channels(32 * width), 2, "relu6")
    head = ConvPoolLinear(round_channels(1280 * max(1.0, width)), "relu6")
    return Architecture(stem, _mnas_stages(rows, stem.out, width, "relu6"), head)


def _mnasnet(rows: MnasRows, stem: int) -> Callable[[float], Architecture]:
    def at_width(width: float) -> Architecture:
        first = PlainConv(3, round_channels(stem * width), 2)
        return Architecture(
            first, _mnas_stages(rows, first.out, width, "relu"), ConvPoolLinear(1280)
        )

    return at_width


def _mnas_stages(
    rows: MnasRows, channels: int, width: float, activation: str
) -> tuple[tuple[InvertedResidual, ...], ...]:
    stages = []
    for kernel, stride, ratio, out, repeats, se in rows:
        stage = []
        for repeat in range(repeats):
            block = InvertedResidual(
                kernel=kernel,
                expansion=ratio * channels,
                out=round_channels(out * width),
                stride=stride if repeat == 0 else 1,
                se="input" if se else "none",
                activation=activation,
                gate="sigmoid",
            )
            channels = block.out
            stage.append(block)
        stages.append(tuple(stage))
    return tuple(stages)


PRESETS: dict[str, Callable[[float], Architecture]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mnasnet_a1": _mnasnet(MNASNET_A1, stem=32),
    "mnasnet_b1": _mnasnet(MNASNET_B1, stem=32),
    "mnasnet_small": _mnasnet(MNASNET_SMALL, stem=8),
    "mobilenet_v3_large": mobilenet_v3(V3_LARGE, hidden=1280),
    "mobilenet_v3_large_075": mobilenet_v3_075(V3_LARGE, hidden=1280),
    "mobilenet_v3_large_reduced": mobilenet_v3(reduced(V3_LARGE), hidden=640),
    "mobilenet_v3_large_minimal": mobilenet_v3(minimal(V3_LARGE), hidden=1280),
    MOBILENET_V3_SMALL: mobilenet_v3(V3_SMALL, hidden=1024),
    "mobilenet_v3_small_075": mobilenet_v3_075(V3_SMALL, hidden=1024),
    "mobilenet_v3_small_reduced": mobilenet_v3(reduced(V3_SMALL), hidden=512),
    "mobilenet_v3_small_minimal": mobilenet_v3(minimal(V3_SMALL), hidden=1024),
    "mobilenet_v4_conv_small": mobilenet_v4_conv_small,
}
