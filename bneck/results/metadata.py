"""What a run's exported files say about themselves."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bneck import records
from bneck.files import is_written, read_json
from bneck.quantities import Accuracy, Latency
from bneck.results.record import Outcome
from bneck.results.run import Run

MEASURED = ("accuracy", "latency_ms")
"""Notes that hold for one network only, not for others of its run."""


def identity(run: Run) -> str:
    """12 hex digits of the plan and the first sitting: they stay when the folder is moved."""
    plan = json.dumps(run.plan, sort_keys=True, default=str)
    first = records.to_json(run.sittings[0]) if run.sittings else None
    return hashlib.sha256(f"{plan}{json.dumps(first)}".encode()).hexdigest()[:12]


def counted_on(images: Mapping[str, Any]) -> str:
    """What accuracies are counted on, from a run's ``images.json``; equal where images are."""
    return f"{images['name']} ({images['fingerprint']})"


def notes(run: Run) -> dict[str, str]:
    """Classes, normalisation, images, accuracy and latency as far as known; the run's identity."""
    known = {"run": identity(run)}
    if is_written(run.images):
        about = read_json(run.images)
        names = {"class_names": "classes", "mean": "mean", "std": "std"}
        known |= {names[key]: json.dumps(about[key]) for key in names if key in about}
        known["images"] = counted_on(about)
    if is_written(run.result):
        outcome = records.read(run.result, Outcome)
        known |= measured(outcome.accuracy, outcome.measured)
    return known


def measured(accuracy: Accuracy | None, latency: Latency | None = None) -> dict[str, str]:
    """Accuracy and latency as notes, by the names of ``MEASURED``; what is None is left out."""
    figures = (accuracy and accuracy.value, latency and latency.ms)
    return {
        name: f"{value:.4f}"
        for name, value in zip(MEASURED, figures, strict=True)
        if value is not None
    }
