"""MobileNetV3 as tables (arXiv 1905.02244), and the variants that are derived from them.

Each row of a table ends in the size of its input at 224 px and width 1.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

from bneck.space.architecture import Architecture
from bneck.space.blocks import InvertedResidual, PlainConv
from bneck.space.heads import ConvPoolLinearLinear
from bneck.space.layers import round_channels

SE, NO = True, False
RE, HS = "relu", "hswish"

# arXiv 1905.02244 v5, tables 1 and 2: kernel, expansion, out, SE, activation, stride
V3_LARGE = (
    (3, 16, 16, NO, RE, 1),  # 112 x 112 x 16
    (3, 64, 24, NO, RE, 2),  # 112 x 112 x 16
    (3, 72, 24, NO, RE, 1),  # 56 x 56 x 24
    (5, 72, 40, SE, RE, 2),  # 56 x 56 x 24
    (5, 120, 40, SE, RE, 1),  # 28 x 28 x 40
    (5, 120, 40, SE, RE, 1),  # 28 x 28 x 40
    (3, 240, 80, NO, HS, 2),  # 28 x 28 x 40
    (3, 200, 80, NO, HS, 1),  # 14 x 14 x 80
    (3, 184, 80, NO, HS, 1),  # 14 x 14 x 80
    (3, 184, 80, NO, HS, 1),  # 14 x 14 x 80
    (3, 480, 112, SE, HS, 1),  # 14 x 14 x 80
    (3, 672, 112, SE, HS, 1),  # 14 x 14 x 112
    (5, 672, 160, SE, HS, 2),  # 14 x 14 x 112
    (5, 960, 160, SE, HS, 1),  # 7 x 7 x 160
    (5, 960, 160, SE, HS, 1),  # 7 x 7 x 160
)
V3_SMALL = (
    (3, 16, 16, SE, RE, 2),  # 112 x 112 x 16
    (3, 72, 24, NO, RE, 2),  # 56 x 56 x 16
    (3, 88, 24, NO, RE, 1),  # 28 x 28 x 24
    (5, 96, 40, SE, HS, 2),  # 28 x 28 x 24
    (5, 240, 40, SE, HS, 1),  # 14 x 14 x 40
    (5, 240, 40, SE, HS, 1),  # 14 x 14 x 40
    (5, 120, 48, SE, HS, 1),  # 14 x 14 x 40
    (5, 144, 48, SE, HS, 1),  # 14 x 14 x 48
    (5, 288, 96, SE, HS, 2),  # 14 x 14 x 48
    (5, 576, 96, SE, HS, 1),  # 7 x 7 x 96
    (5, 576, 96, SE, HS, 1),  # 7 x 7 x 96
)
Rows = tuple[tuple[int, int, int, bool, str, int], ...]


def mobilenet_v3(rows: Rows, hidden: int) -> Callable[[float], Architecture]:
    """MobileNetV3 at any width multiplier, which also scales ``hidden``, as in torchvision."""

    def at_width(width: float) -> Architecture:
        expansions = [round_channels(row[1] * width) for row in rows]
        return _v3(rows, expansions, width, round_channels(hidden * width))

    return at_width


def mobilenet_v3_075(rows: Rows, hidden: int) -> Callable[[float], Architecture]:
    """The paper's own network of 0.75 (table 3), which is larger than V3 at ``width`` 0.75.

    Its hidden layer is not narrowed, and its expansions are multiples of their rounded inputs (the
    reference implementation's; timm's tf_mobilenetv3_large_075 and tf_mobilenetv3_small_075).
    """
    inputs = [16, *(row[2] for row in rows[:-1])]

    def at_width(width: float) -> Architecture:
        width *= 0.75
        expansions = [
            round_channels(row[1] / channels * round_channels(channels * width))
            for row, channels in zip(rows, inputs, strict=True)
        ]
        return _v3(rows, expansions, width, round_channels(hidden * max(1.0, width)))

    return at_width


def _v3(rows: Rows, expansions: Sequence[int], width: float, hidden: int) -> Architecture:
    """MobileNetV3 of a table's rows.

    Args:
        rows: of which outputs are scaled by ``width``, and expansions replaced.
        expansions: of each row, in channels.
        width: the width multiplier.
        hidden: channels of the head's hidden layer.
    """
    first_activation = HS if any(row[4] == HS for row in rows) else RE
    stages = tuple(
        tuple(
            InvertedResidual(
                kernel=kernel,
                expansion=expansion,
                out=round_channels(out * width),
                stride=stride,
                se="expansion" if se else "none",
                activation=activation,
            )
            for (kernel, _, out, se, activation, stride), expansion in group
        )
        for _, group in groupby(zip(rows, expansions, strict=True), lambda pair: pair[0][2])
    )
    return Architecture(
        stem=PlainConv(3, round_channels(16 * width), 2, first_activation),
        stages=stages,
        head=ConvPoolLinearLinear(6 * stages[-1][-1].out, hidden, first_activation),
        norm="bn_v3",
    )


def minimal(rows: Rows) -> Rows:
    """No squeeze-excite, no h-swish, no 5x5 (the reference implementation's "minimalistic")."""
    return tuple((3, expansion, out, NO, RE, stride) for _, expansion, out, _, _, stride in rows)


def reduced(rows: Rows) -> Rows:
    """Half the channels from the last stride-2 block on (section 6.4)."""
    last = max(index for index, row in enumerate(rows) if row[5] == 2)
    return tuple(
        (
            kernel,
            expansion // 2 if index > last else expansion,
            out // 2 if index >= last else out,
            se,
            activation,
            stride,
        )
        for index, (kernel, expansion, out, se, activation, stride) in enumerate(rows)
    )
