"""The spaces of two published tables of trained networks, so that a search can be checked on them.

Both are networks of this package's own blocks: parameters and multiply-adds come out as published.
"""

from bneck.space.architecture import Architecture
from bneck.space.blocks import Block, Identity, PlainConv
from bneck.space.blocks.inverted_residual import inverted_residual
from bneck.space.choices import Choices, Parents, Space, Values
from bneck.space.heads import ConvPoolLinear

# NAS-Bench-Macro (arXiv 2103.11922, section 5): blocks and output width of each stage
_MACRO = ((2, 64), (3, 128), (3, 256))
_OPS = ("identity", "k3e3", "k5e6")

# Accel-NASBench (arXiv 2404.08005, table 1): stride, output width, depths
_ACCEL = (
    (1, 16, (1, 2, 3)),
    (2, 24, (1, 2, 3)),
    (2, 40, (1, 2, 3)),
    (2, 80, (1, 2, 3)),
    (1, 112, (1, 2, 3)),
    (2, 192, (1, 2, 3, 4)),
    (1, 320, (1, 2, 3)),
)


def nas_bench_macro(name: str, resolution_px: int, classes: int) -> Space:
    """3,969 networks of eight blocks: nothing, or one of two inverted residuals.

    An identity could be anywhere inside a stage; here it is at the end, so a block is a choice only
    where the one before it is not an identity, and every network has one set of values.
    """
    choices: Choices = {}
    parents: Parents = {}
    for s, (blocks, _) in enumerate(_MACRO, start=1):
        for b in range(1, blocks + 1):
            choices[f"s{s}.b{b}.op"] = _OPS
            if b > 2:
                parents[f"s{s}.b{b}.op"] = (f"s{s}.b{b - 1}.op", _OPS[1:])

    def decode(values: Values) -> Architecture:
        stages, channels = [], 32
        for s, (blocks, width) in enumerate(_MACRO, start=1):
            ops = [str(values.get(f"s{s}.b{b}.op", "identity")) for b in range(1, blocks + 1)]
            stage: list[Block] = []
            for op in ops:
                stage.append(_macro_block(op, channels, width, stride=1 if stage else 2))
                channels = width
            stages.append(tuple(stage))
        stem, head = PlainConv(3, 32), ConvPoolLinear(1280)
        return Architecture(stem, tuple(stages), head, classes, resolution_px)

    return Space(name, choices, decode, parents)


def macro_values(code: str) -> Values:
    """The values that a code of NAS-Bench-Macro's table ("02120112") means.

    Raises:
        ValueError: not eight digits 0, 1 or 2.
    """
    if len(code) != 8 or set(code) - set("012"):
        raise ValueError(f"a code is 8 digits 0, 1 or 2, got {code!r}")
    digits = iter(code)
    values: Values = {}
    for s, (blocks, _) in enumerate(_MACRO, start=1):
        first, *rest = (next(digits) for _ in range(blocks))
        moved = "".join(rest).replace("0", "").ljust(len(rest), "0")
        for b, digit in enumerate(first + moved, start=1):
            values[f"s{s}.b{b}.op"] = _OPS[int(digit)]
    return values


def accel_nasbench(name: str, resolution_px: int, classes: int) -> Space:
    """MnasNet's skeleton; expansion, kernel, depth and squeeze-excite are chosen per stage."""
    choices: Choices = {}
    for s, (_, _, depths) in enumerate(_ACCEL, start=1):
        choices |= {
            f"s{s}.depth": depths,
            f"s{s}.kernel": (3, 5),
            f"s{s}.ratio": (1, 4, 6),
            f"s{s}.se": (False, True),
        }

    def decode(values: Values) -> Architecture:
        stages, channels = [], 32
        for s, (stride, width, _) in enumerate(_ACCEL, start=1):
            stage = []
            for b in range(int(values[f"s{s}.depth"])):
                stage.append(
                    inverted_residual(
                        kernel=int(values[f"s{s}.kernel"]),
                        expansion=int(values[f"s{s}.ratio"]) * channels,
                        out=width,
                        stride=1 if b else stride,
                        se="input" if values[f"s{s}.se"] else "none",
                        gate="sigmoid",
                    )
                )
                channels = width
            stages.append(tuple(stage))
        stem, head = PlainConv(3, 32, 2), ConvPoolLinear(1280)
        return Architecture(stem, tuple(stages), head, classes, resolution_px)

    return Space(name, choices, decode)


def _macro_block(op: str, channels: int, out: int, stride: int) -> Block:
    if op == "identity":
        return Identity(out, stride)
    kernel, ratio = (3, 3) if op == "k3e3" else (5, 6)
    return inverted_residual(kernel, ratio * channels, out, stride)
