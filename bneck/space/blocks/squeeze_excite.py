"""Squeeze-excite, the part that several blocks share (MnasNet; MobileNetV3 section 5.3)."""

from bneck.space.layers import Layer, Pool, Scale, pointwise, round_channels

SQUEEZES = ("none", "expansion", "input")
"""Words for ``se``: absent, a quarter of the expansion (V3) or of the block's input (MnasNet)."""

GATES = ("sigmoid", "hsigmoid")


def squeeze_width(se: str, expansion: int, in_channels: int) -> int:
    """Channels inside the squeeze-excite: V3 rounds a quarter of the expansion to 8.

    Args:
        se: "expansion" or "input", as in ``SQUEEZES``.
        expansion: expanded width of the block.
        in_channels: channels of the block's input.
    """
    if se == "expansion":
        return round_channels(expansion // 4)
    return max(1, in_channels // 4)


def lower_squeeze_excite(
    path: str, channels: int, squeeze: int, in_px: int, gate: str
) -> tuple[Layer, ...]:
    """x * gate(expand(relu(reduce(pool(x)))))

    Args:
        path: of the squeeze-excite; its layers' paths begin with it.
        channels: channels of x.
        squeeze: channels between ``reduce`` and ``expand``.
        in_px: side of x, px.
        gate: a word of ``GATES``.
    """
    body = (
        Pool(path=f"{path}.pool", channels=channels, in_px=in_px),
        pointwise(f"{path}.reduce", channels, squeeze, 1, "relu", "none"),
        pointwise(f"{path}.expand", squeeze, channels, 1, gate, "none"),
    )
    return (Scale(path=path, body=body),)
