"""The command ``predict``: pictures classified by a run's ONNX file."""

from pathlib import Path
from typing import Annotated

import typer

from bneck.commands.common.options import JsonOption
from bneck.commands.common.output import print_json, print_text
from bneck.errors import UsageError
from bneck.text import ends_spelt_out, in_list
from bneck.units import percent


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run's folder, or an ONNX file of bneck.")
    ],
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="Image files, or folders with all images in them."),
    ],
    top: Annotated[int, typer.Option(help="Classes to name, likeliest first.", min=1)] = 3,
    json: JsonOption = False,
) -> None:
    """Classify images with a run's network.

    Files in a folder that are not images are passed over, and named.
    """
    if missing := [str(image) for image in images if not image.exists()]:
        raise UsageError(f"no such file: {', '.join(missing)}")
    from bneck.derivation.prediction import (  # onnxruntime
        check_read,
        classifier_of,
        classify,
        passed_over_in,
    )

    found, unread = [], {}
    for image, classes in classify(classifier_of(model), images, top):
        if isinstance(classes, UsageError):
            unread[image] = classes
            continue
        found.append({"file": str(image), "classes": classes})
        if not json:
            words = ", ".join(
                f"{in_list(name)} {percent(share)}" for name, share in classes.items()
            )
            print_text(ends_spelt_out(f"{image}: {words}"))
    if json:
        print_json({"images": found, "passed_over": passed_over_in(images, unread)})
    check_read(images, unread, len(found))
