"""What the commands share: network arguments, output, and options."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

MAX_SEED = 2**32 - 1
"""What the random generators of all libraries take."""

NetArgument = Annotated[
    str,
    typer.Argument(
        metavar="NET", help="A preset's name, a JSON file, or a run's folder (its network)."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]
WidthOption = Annotated[
    float | None, typer.Option(help="Width multiplier, for presets.", show_default="1.0")
]
ResolutionOption = Annotated[
    int | None, typer.Option(help="Input side in pixels.", show_default="the network's own")
]
ClassesOption = Annotated[
    int | None, typer.Option(help="Number of classes.", show_default="the network's own")
]
SeedOption = Annotated[
    int, typer.Option(help="Every random choice hangs on it.", min=0, max=MAX_SEED)
]


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    print(json.dumps(value, allow_nan=False))
