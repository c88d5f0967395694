"""The command ``evaluate``: how good a trained network is on labelled images."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bneck.commands.common.options import (
    JsonOption,
    ResolutionOption,
    SeedOption,
    WidthOption,
    check_left_out,
)
from bneck.commands.common.output import print_result
from bneck.live import TerminalProgress
from bneck.proxies.data.image_info import ALL, PARTS
from bneck.proxies.data.image_spec import check_images
from bneck.results.run_folder import is_run
from bneck.results.summary import only_answer
from bneck.space.checks import check_word
from bneck.text import aligned, number_of, one_line
from bneck.units import percent

if TYPE_CHECKING:
    from bneck.derivation.evaluation import Evaluation

LARGEST_SHOWN = 20
"""A confusion matrix of more classes is in the JSON alone."""


def evaluate(
    net: Annotated[
        str,
        typer.Argument(
            metavar="NET",
            help="A run's folder, an ONNX file of bneck, or with --weights a network.",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="Images: folder:DIR, npz:FILE or a named set.", show_default="the run's own"
        ),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            help="train, val, test or all; of images without such parts, val is the fifth that a "
            "training holds out.",
            show_default="test if there is one, else val; all of images without parts that are "
            "not the run's own",
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights, for a network that is not a run.")
    ] = None,
    width: WidthOption = None,
    resolution: ResolutionOption = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Evaluate a trained network on labelled images.

    Accuracy, classes one by one, confusion matrix, calibration of confidences, and latency.
    """
    from bneck.derivation.validation import check_evaluated  # numpy: not for --help

    check_evaluated(net, data, weights, width, resolution)
    if is_run(net):
        check_left_out("on a run, whose own it is", seed=seed != 0)
    if part is not None:
        check_word("part", part, (*PARTS, ALL))
    if data is not None:
        check_images(data)
    from bneck.derivation.evaluation import evaluate_network  # torch: after the mistakes

    progress = TerminalProgress()
    found = evaluate_network(
        net,
        data,
        part=part,
        weights=weights,
        width=width,
        resolution_px=resolution,
        seed=seed,
        progress=progress,
    )
    print_result(json, _as_json(found), _as_text(found))


def _as_json(found: "Evaluation") -> dict[str, Any]:
    figures = asdict(found.figures)
    accuracy = figures.pop("accuracy")
    return {
        "images": found.images.name,
        "fingerprint": found.images.fingerprint,
        "part": found.part,
        "accuracy": accuracy["value"],
        "accuracy_stderr": accuracy["stderr"],
        **figures,
        "latency_ms": found.latency.ms,
        "latency_std_ms": found.latency.std_ms,
    }


def _as_text(found: "Evaluation") -> str:
    figures, total = found.figures, sum(one.images for one in found.figures.classes)
    every = found.part == ALL
    counted = number_of(total, "image" if every else f"{found.part} image")
    said = [
        f"accuracy {percent(figures.accuracy)} on {'all' if every else 'the'} {counted} of "
        f"{found.images.name}; "
        f"balanced {percent(figures.balanced_accuracy)}",
        f"confidence {percent(figures.confidence)} on average, expected calibration error "
        f"{percent(figures.calibration_error)} (by chance alone "
        f"{percent(figures.calibration_error_by_chance)}), log loss {figures.log_loss:.3f}",
        f"latency {found.latency.ms:.3g} ms, median of one image at a time in this process",
        *filter(None, [only_answer(figures)]),
        "",
    ]
    lines: list[tuple[str, ...]] = [("class", "images", "recall", "precision")]
    lines += [
        (one_line(one.name), str(one.images), percent(one.recall), percent(one.precision))
        for one in figures.classes
    ]
    said.append(aligned(lines))
    if len(figures.classes) <= LARGEST_SHOWN:
        head = ("true \\ given", *(one_line(one.name) for one in figures.classes))
        rows = [
            (name, *map(str, row)) for name, row in zip(head[1:], figures.confusion, strict=True)
        ]
        said += ["", aligned([head, *rows])]
    return "\n".join(said)
