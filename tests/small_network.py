"""A network of three blocks, for tests that train or export one and ask nothing of its size."""

import json
from dataclasses import replace
from pathlib import Path

from bneck.space import codec, presets
from bneck.space.architecture import Architecture


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


def saved(arch: Architecture, file: Path) -> Path:
    """Write a network as a file that commands take."""
    file.write_text(json.dumps(codec.to_json(arch)))
    return file
