"""Networks of three blocks, for tests that train or export one and ask nothing of its size."""

import json
import re
from dataclasses import replace
from pathlib import Path

from bneck.space import codec, presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.choices import Space, Values
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


def small_space(name: str, resolution_px: int, classes: int) -> Space:
    """Networks with the first block of each of the first three stages of those of ``v3-small``.

    Their heads are a quarter as wide; at 16 px they have 0.05 to 0.22 of MobileNetV3-Small's
    multiply-adds.
    """
    whole = spaces.build("v3-small", resolution_px=resolution_px, classes=classes)
    any_values = whole.sample(0)
    of_blocks = re.compile(r"s[123]\.(width|b1\..*)")
    choices = {name: allowed for name, allowed in whole.choices.items() if of_blocks.match(name)}

    def decode(values: Values) -> Architecture:
        arch = whole.build({**any_values, **values})
        stages = tuple(stage[:1] for stage in arch.stages[:3])
        head = ConvPoolLinearLinear(3 * stages[-1][-1].out, 256)
        return replace(arch, stages=stages, head=head)

    return Space(name, choices, decode)


def saved(arch: Architecture, file: Path) -> Path:
    """Write a network as a file that commands take."""
    file.write_text(json.dumps(codec.to_json(arch)))
    return file
