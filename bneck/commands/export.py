"""The command ``export``: a network for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from bneck.commands.common.options import (
    ClassesOption,
    JsonOption,
    NetArgument,
    ResolutionOption,
    SeedOption,
    WidthOption,
)
from bneck.commands.common.output import print_result
from bneck.derivation.plan import one_of
from bneck.derivation.trained_networks import load_trained
from bneck.results.exports import EXPORTS, check_file_name, in_words
from bneck.results.exports import export as write_export
from bneck.results.networks import load_network


def export(
    net: NetArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    to: Annotated[
        str,
        typer.Option(help=f"Format: {one_of(*EXPORTS)}; pytorch and torchvision are code."),
    ] = "onnx",
    weights: Annotated[
        Path | None,
        typer.Option(
            help="safetensors, or torchvision's state dict (.pth).",
            show_default="the run's own, or random ones",
        ),
    ] = None,
    width: WidthOption = None,
    resolution: ResolutionOption = None,
    classes: ClassesOption = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Write a network for other programs.

    The file is loaded again and its outputs are compared with the network's.
    """
    check_file_name(to, file)
    name, arch = load_network(net, width=width, resolution_px=resolution, classes=classes)
    trained = load_trained(net, weights, arch, seed=seed, with_images=to.endswith("-int8"))
    difference = write_export(trained, to, file)
    result = {"network": name, "to": to, "file": str(file), "error": difference}
    print_result(json, result, f"{file}: {name} as {to}; {in_words(to, difference)}")
