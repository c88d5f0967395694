"""What the commands that time networks share: their options."""

from typing import TYPE_CHECKING, Annotated

import typer

from bneck.commands.common.options import own_spaces
from bneck.derivation.option import OWN
from bneck.latency.runtimes import MAX_BATCH_SIZE, RUNTIMES
from bneck.space.spaces import SPACES
from bneck.text import one_of

if TYPE_CHECKING:
    from bneck.space.choices import Space

SPACE, RUNTIME = "v3-small", "onnxruntime"
"""What is calibrated unless the options say otherwise."""
IMAGENET_PX, IMAGENET_CLASSES = 224, 1000
"""What networks of a space are built for unless the options say otherwise."""

SpaceOption = Annotated[
    str,
    typer.Option(
        help=f"Spaces with commas between them, or all: {one_of(*SPACES, OWN)}.",
        callback=own_spaces,
    ),
]
RuntimeOption = Annotated[
    str, typer.Option(help=f"What runs the networks: {one_of(*RUNTIMES, OWN)}.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="What to measure on: local, ssh:USER@HOST[:PORT][/PYTHON], "
        "adb:[SERIAL][/BENCHMARK_MODEL], file:DIR, the folder of a kit, or table:FILE."
    ),
]
ThreadsOption = Annotated[int, typer.Option(help="Threads of the runtime.", min=1)]
BatchSizeOption = Annotated[
    int, typer.Option(help="Images that one inference takes.", min=1, max=MAX_BATCH_SIZE)
]
WaitOption = Annotated[
    float, typer.Option(help="Minutes to wait, at most, for the device to become quiet.", min=0.0)
]

SpaceResolutionOption = Annotated[
    int | None, typer.Option(help="Input resolution in pixels.", show_default=str(IMAGENET_PX))
]
SpaceClassesOption = Annotated[
    int | None, typer.Option(help="Number of classes.", show_default=str(IMAGENET_CLASSES))
]


def sizes_of(resolution: int | None, classes: int | None) -> dict[str, int]:
    """Side and class count of a space's networks: ImageNet's unless given."""
    return {
        "resolution_px": IMAGENET_PX if resolution is None else resolution,
        "classes": IMAGENET_CLASSES if classes is None else classes,
    }


def spaces_of(names: str, resolution: int | None, classes: int | None) -> "list[Space]":
    """Return the spaces of these names.

    Args:
        names: words with commas between them.
        resolution: in pixels; None is ImageNet's.
        classes: None is ImageNet's number.

    Raises:
        UsageError: an unknown name.
    """
    from bneck.latency.calibration.networks import spaces_called

    return spaces_called(names, **sizes_of(resolution, classes))
