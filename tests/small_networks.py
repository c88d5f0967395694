"""Networks of a few blocks, which train in a moment."""

from dataclasses import replace

from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.heads import ConvPoolLinearLinear


def three_blocks(width: float = 1.0) -> Architecture:
    """The first blocks of MobileNetV3-Small's first three stages and a quarter of its head.

    For the digits: 16 px and 10 classes. All its layers are within a calibration for ``v3-small``.
    """
    whole = presets.build("mobilenet_v3_small", width=width, resolution_px=16, classes=10)
    head = whole.head
    assert isinstance(head, ConvPoolLinearLinear)
    return replace(
        whole,
        stages=tuple(stage[:1] for stage in whole.stages[:3]),
        head=replace(head, width=head.width // 4, hidden=head.hidden // 4),
    )
