"""V3-Small's skeleton with MobileNetV4's blocks as well as V3's, so that a CPU gets what suits it.

Block kinds are named as in MobileNetV4 (arXiv 2404.10518, figure 4).
"""

from bneck.space.architecture import Architecture
from bneck.space.blocks import Block, FusedBottleneck, PlainConv, UniversalBottleneck
from bneck.space.blocks.inverted_residual import inverted_residual
from bneck.space.choices import Choices, Parents, Space, Values
from bneck.space.heads import ConvPoolLinearLinear

# stride, widths, depths: from V3-Small's (table 2) up to V4-Conv-Small's
_STAGES = (
    (2, (16, 24, 32), (1,)),
    (2, (24, 32, 48, 64), (1, 2, 3)),
    (2, (40, 48, 64, 96), (2, 3, 4, 5)),
    (1, (48, 64, 96, 112), (1, 2, 3)),
    (2, (96, 112, 128), (2, 3, 4, 5)),
)
_KERNELS, _RATIOS, _ACTIVATIONS = (3, 5), (2, 3, 4, 6), ("relu", "hswish")
_STRIDED = ("bneck", "extra-dw", "convnext", "fused")
_KINDS = (*_STRIDED, "ffn")


def cpu_small(name: str, resolution_px: int, classes: int) -> Space:
    """Chosen block by block: V3's block with or without squeeze-excite, or one of V4's."""
    choices: Choices = {}
    parents: Parents = {}
    for s, (stride, widths, depths) in enumerate(_STAGES, start=1):
        choices |= {f"s{s}.width": widths, f"s{s}.depth": depths}
        for b in range(1, max(depths) + 1):
            block = f"s{s}.b{b}"
            always = {
                f"{block}.kind": _STRIDED if b == 1 and stride == 2 else _KINDS,
                f"{block}.ratio": _RATIOS,
                f"{block}.activation": _ACTIVATIONS,
            }
            choices |= always | {
                f"{block}.kernel": _KERNELS,
                f"{block}.start": _KERNELS,
                f"{block}.se": (False, True),
            }
            if b > min(depths):
                deep_enough = tuple(depth for depth in depths if depth >= b)
                parents |= dict.fromkeys(always, (f"s{s}.depth", deep_enough))
            parents |= {
                f"{block}.kernel": (f"{block}.kind", _STRIDED),
                f"{block}.start": (f"{block}.kind", ("extra-dw",)),
                f"{block}.se": (f"{block}.kind", ("bneck",)),
            }

    def decode(values: Values) -> Architecture:
        stem = PlainConv(3, 16, 2, "hswish")
        channels, stages = stem.out, []
        for s, (stride, _, _) in enumerate(_STAGES, start=1):
            out, stage = int(values[f"s{s}.width"]), []
            for b in range(1, int(values[f"s{s}.depth"]) + 1):
                own = {
                    choice.rpartition(".")[2]: value
                    for choice, value in values.items()
                    if choice.startswith(f"s{s}.b{b}.")
                }
                stage.append(_block(own, channels, out, stride if b == 1 else 1))
                channels = out
            stages.append(tuple(stage))
        head = ConvPoolLinearLinear(6 * channels, 1024)
        return Architecture(stem, tuple(stages), head, classes, resolution_px, "bn_v3")

    return Space(name, choices, decode, parents)


def _block(own: Values, channels: int, out: int, stride: int) -> Block:
    """``own`` holds the choices of one block by the last word of their names."""
    kind, activation = own["kind"], str(own["activation"])
    expansion, kernel = int(own["ratio"]) * channels, int(own.get("kernel", 0))
    if kind == "bneck":
        se = "expansion" if own["se"] else "none"
        return inverted_residual(kernel, expansion, out, stride, se, activation)
    if kind == "fused":
        return FusedBottleneck(kernel, expansion, out, stride, activation)
    start = kernel if kind == "convnext" else int(own.get("start", 0))
    middle = kernel if kind == "extra-dw" else 0
    return UniversalBottleneck(start, middle, expansion, out, stride, activation)
