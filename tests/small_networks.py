"""Networks of three blocks, for tests that train or export one and ask nothing of its size."""

import json
from dataclasses import replace
from pathlib import Path

from bneck.space import codec, presets
from bneck.space.architecture import Architecture
from bneck.space.heads import ConvPoolLinearLinear


def three_blocks(
    *, width: float = 1.0, resolution_px: int, classes: int, name: str = "mobilenet_v3_small"
) -> Architecture:
    """V3-Small's first block and two of its third stage.

    They have what all eleven have: squeeze-excite, ReLU and h-swish, 3x3 and 5x5, a residual.

    Args:
        width: the width multiplier.
        resolution_px: side of the images.
        classes: number of classes.
        name: the preset, V3-Small or its minimal version.
    """
    arch = presets.build(name, width=width, resolution_px=resolution_px, classes=classes)
    return replace(arch, stages=(arch.stages[0], arch.stages[2][:2]))


def three_stages(width: float = 1.0) -> Architecture:
    """The first block of each of V3-Small's first three stages, and a quarter of its head.

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


def saved(arch: Architecture, file: Path) -> Path:
    """Write a network as a file that commands take."""
    file.write_text(json.dumps(codec.to_json(arch)))
    return file
