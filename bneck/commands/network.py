"""Commands about one network: show, export, predict."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bneck.commands.common import (
    ClassesOption,
    JsonOption,
    NetArgument,
    ResolutionOption,
    SeedOption,
    WidthOption,
    print_json,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(show)
    app.command()(export)
    app.command()(predict)


def show(
    net: NetArgument,
    width: WidthOption = None,
    resolution: ResolutionOption = None,
    classes: ClassesOption = None,
    json: JsonOption = False,
) -> None:
    """Print a network block by block, with its cost."""
    from bneck.results import table
    from bneck.results.networks import load_network
    from bneck.space.cost import cost

    name, arch = load_network(net, width=width, resolution_px=resolution, classes=classes)
    rows, counted = table.rows(arch), cost(arch)
    if json:
        about = {"name": name, **asdict(counted), "resolution_px": arch.resolution_px}
        print_json({**about, "blocks": [asdict(row) for row in rows]})
        return
    print(
        f"{name}: {counted.params:,} parameters, {counted.macs / 1e6:.1f} M multiply-adds, "
        f"{counted.peak_activation_bytes / 1e6:.2f} MB of activations at {arch.resolution_px} px"
    )
    print(table.as_text(rows))


def export(
    net: NetArgument,
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    to: Annotated[
        str,
        typer.Option(
            help="onnx, onnx-int8, pytorch (plain code), torch-export, torchscript or torchvision."
        ),
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
    """Write a network for other programs; the file is loaded back and its outputs compared."""
    from bneck.derivation.trained_networks import load_trained
    from bneck.results.exports import check_format, in_words
    from bneck.results.exports import export as write_export
    from bneck.results.networks import load_network

    check_format(to)
    name, arch = load_network(net, width=width, resolution_px=resolution, classes=classes)
    trained = load_trained(net, weights, arch, seed=seed, with_images=to == "onnx-int8")
    difference = write_export(trained, to, file)
    result: dict[str, Any] = {"network": name, "to": to, "file": str(file), "error": difference}
    if json:
        print_json(result)
    else:
        print(f"{file}: {name} as {to}; {in_words(to, difference)}")


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run's folder, or an ONNX file of bneck.")
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    top: Annotated[int, typer.Option(help="Classes to name, likeliest first.", min=1)] = 3,
    json: JsonOption = False,
) -> None:
    """Classify pictures with a run's ONNX file, as its validation images were classified."""
    from bneck.errors import UsageError
    from bneck.files import check_file
    from bneck.results.run import Run

    file = model
    if model.is_dir():
        file = (run := Run.read(model)).onnx
        if not file.exists():
            raise UsageError(f"{model} has no {file.name} yet: the run is {run.state}")
    check_file(file)
    from bneck.proxies.data.folder import read_picture
    from bneck.results.exports.classifier import open_classifier

    classifier = open_classifier(file)
    found, bad = [], []
    for image in images:
        try:
            shares = classifier.probabilities(read_picture(image, classifier.resolution_px))
        except UsageError as error:
            bad.append(str(error))
            continue
        likeliest = (-shares).argsort(kind="stable")[:top]
        found.append((image, {classifier.classes[row]: float(shares[row]) for row in likeliest}))
        if not json:
            words = ", ".join(f"{name} {share:.1%}" for name, share in found[-1][1].items())
            print(f"{image}: {words}")
    if json:
        print_json({"images": [{"file": str(image), "classes": shares} for image, shares in found]})
    if bad:
        raise UsageError("; ".join(bad))
