"""The command ``export``: a network for other programs."""

from dataclasses import asdict
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
    check_left_out,
)
from bneck.commands.common.output import print_result
from bneck.derivation.trained_networks import load_trained
from bneck.live import TerminalProgress
from bneck.results.exports import EXPORTS, check_new_export
from bneck.results.exports import export as write_export
from bneck.results.exports.int8_text import cost_of_int8
from bneck.results.networks import load_network, network_name
from bneck.results.run_files import check_not_own
from bneck.results.run_folder import is_run
from bneck.text import one_of


def export(
    net: NetArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    to: Annotated[
        str, typer.Option(help=f"Format: {one_of(*EXPORTS)}; pytorch and torchvision are code.")
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

    The file is loaded again and its outputs are compared with the network's. In 8 bits several ways
    are tried on training images, and the accuracy on the validation images is given.
    """
    check_new_export(to, file)
    check_not_own(file)
    if not EXPORTS[to].in_8_bits and (weights is not None or is_run(net)):
        check_left_out("on trained weights in float", seed=seed != 0)
    arch = load_network(net, width=width, resolution_px=resolution, classes=classes)
    name = network_name(net, width)
    trained = load_trained(
        net,
        weights,
        arch,
        seed=seed,
        with_samples=EXPORTS[to].in_8_bits,
        progress=TerminalProgress(),
    )
    exported = write_export(trained, to, file)
    result = {"network": name, "to": to, "file": str(file), "error": exported.difference}
    words = f"the outputs differ by {exported.difference:.2g} of the largest"
    if exported.int8 is not None:
        result["int8"] = asdict(exported.int8)
        words = cost_of_int8(exported.int8)
    print_result(json, result, f"{file}: {name} as {to}; {words}")
