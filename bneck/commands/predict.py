"""The command ``predict``: pictures classified by a run's ONNX file."""

from pathlib import Path
from typing import Annotated

import typer

from bneck.commands.options import JsonOption
from bneck.commands.output import print_json
from bneck.errors import UsageError
from bneck.files import check_file
from bneck.results.run import Run


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run's folder, or an ONNX file of bneck.")
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    top: Annotated[int, typer.Option(help="Classes to name, likeliest first.", min=1)] = 3,
    json: JsonOption = False,
) -> None:
    """Classify images with a run's network."""
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
    rows = [{"file": str(image), "classes": shares} for image, shares in found]
    if json:
        print_json({"images": rows})
    if bad:
        raise UsageError("; ".join(bad))
