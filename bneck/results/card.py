"""A model card: Markdown with the fields that model hubs read, for a network to be passed on."""

import json
from collections.abc import Mapping
from typing import Any

from bneck import __version__
from bneck.errors import UsageError
from bneck.results.record import Baseline, Outcome
from bneck.results.report import ReportData
from bneck.results.units import count, decimals, milliseconds, percent


def build(data: ReportData, images: Mapping[str, Any]) -> str:
    """The card of a finished run.

    The front matter holds what Hugging Face's hub reads (``model-index``, ``pipeline_tag`` and so
    on); a licence is for the owner of the weights to choose, so there is none.

    Args:
        images: the run's ``images.json``.

    Raises:
        UsageError: the run has no derived network yet.
    """
    if data.outcome is None:
        raise UsageError(f"{data.name} has no derived network yet; the run is {data.state}")
    return f"{_front_matter(data, images)}\n{_body(data, images)}"


def _front_matter(data: ReportData, images: Mapping[str, Any]) -> str:
    """YAML, every text quoted as JSON, which YAML contains."""
    out = data.outcome
    assert out is not None
    lines = [
        "library_name: onnx",
        "pipeline_tag: image-classification",
        "tags: [image-classification, mobilenet, neural-architecture-search, onnx, bneck]",
        "metrics: [accuracy]",
        "model-index:",
        f"- name: {_quoted(data.name)}",
    ]
    if out.accuracy is not None:
        lines += [
            "  results:",
            "  - task: {type: image-classification}",
            f"    dataset: {{name: {_quoted(images['name'])}, type: {_quoted(images['name'])}, "
            "split: validation}",
            f"    metrics: [{{type: accuracy, value: {out.accuracy.value:.4f}}}]",
        ]
    return "\n".join(["---", *lines, "---", ""])


def _body(data: ReportData, images: Mapping[str, Any]) -> str:
    out = data.outcome
    assert out is not None
    places = decimals(out.target_ms)
    side, classes = out.arch.resolution_px, images["class_names"]
    sitting = data.sittings[0] if data.sittings else None
    networks: list[tuple[str, Outcome | Baseline]] = [("this network", out)]
    networks += [(baseline.name, baseline) for baseline in data.baselines]
    rows = [_row(name, network, places) for name, network in networks]
    validation = images.get("validation")
    counted = f" of {validation:,} images" if validation else ""
    return "\n".join(
        [
            f"# {_plain(data.name)}",
            "",
            f"An image classifier for {len(classes)} classes, derived by bneck {__version__} for "
            f"{out.target_ms:.{places}f} ms on {_plain(sitting.device if sitting else 'a CPU')}: a "
            "block-wise search, NetAdapt and a training from scratch, as MobileNetV3 was derived.",
            "",
            "## Use",
            "",
            "```sh",
            "bneck predict model.onnx photo.jpg",
            "```",
            "",
            f"Without bneck: `model.onnx` takes `image`, float32 (N, 3, {side}, {side}): RGB from "
            f"0 to 1, less the mean, divided by the deviation, and gives `logits` (N, "
            f"{len(classes)}). Class names, mean and deviation are in the file's metadata "
            "(`classes`, `mean`, `std`, each JSON).",
            "",
            f"Classes: {', '.join(map(_plain, classes))}.",
            "",
            "## Evaluation",
            "",
            f"Accuracy (top-1) on the validation part{counted} of `{_plain(images['name'])}`, "
            "with its standard error; latency of one image, warm, one forward pass, measured on "
            "the device above.",
            "",
            "| network | accuracy | latency (ms) | parameters | multiply-adds |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "All rows were trained by the same recipe and measured the same way."
            + (f" The latencies are not to be relied on: {_plain(out.note)}." if out.note else ""),
            "",
            "## Training data",
            "",
            f"`{_plain(images['name'])}`, fingerprint `{images['fingerprint']}`"
            + (f", {images['training']:,} images to train on" if "training" in images else "")
            + f", at {side} x {side} pixels.",
            "",
            "## Limits",
            "",
            "It knows the classes above and gives one of them to any picture. Its latency holds on "
            "the device it was measured on. Nothing was examined about bias, about pictures unlike "
            "the training data, or about safety.",
            "",
            "## To repeat it",
            "",
            "```sh",
            sitting.command if sitting else "",
            "```",
            "",
            ", ".join(f"{name} {version}" for name, version in sitting.versions.items())
            if sitting
            else "",
            "",
        ]
    )


def _row(name: str, network: Outcome | Baseline, places: int) -> str:
    cells = (
        _plain(name),
        percent(network.accuracy),
        milliseconds(network.measured, places),
        count(network.params),
        count(network.macs),
    )
    return f"| {' | '.join(cells)} |"


def _quoted(text: str) -> str:
    return json.dumps(text)


def _plain(text: str) -> str:
    """Text that Markdown and HTML show as it is, on one line and in one table cell."""
    kept = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{c}" if c in "\\`*_[]|#" else c for c in kept)
