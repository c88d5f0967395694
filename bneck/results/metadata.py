"""What a run's exported files say about themselves."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bneck import records
from bneck.errors import UsageError
from bneck.json_text import parse_json
from bneck.quantities import Accuracy, Latency, is_finite
from bneck.results.image_facts import read_image_facts
from bneck.results.plan_file import SETTLED
from bneck.results.record import Outcome
from bneck.results.run import Run

OF_PICTURES = ("classes", "mean", "std")
"""Notes without which a file cannot classify pictures."""
MEASURED = ("accuracy", "latency_ms")
"""Notes that hold for one network only, not for others of its run."""


def identity(run: Run) -> str:
    """12 hex digits of the plan and the first session: they stay when the folder is moved.

    What the run settled by itself is left out: who opens the run has not read it, who looks at the
    run later has.
    """
    asked = {name: value for name, value in run.plan.items() if name not in SETTLED}
    plan = json.dumps(asked, sort_keys=True, default=str)
    sessions = run.read_sessions()
    first = records.to_json(sessions[0]) if sessions else None
    return hashlib.sha256(f"{plan}{json.dumps(first)}".encode()).hexdigest()[:12]


def notes(run: Run) -> dict[str, str]:
    """Classes, normalisation, images, accuracy and latency as far as known; the run's identity."""
    known = {"run": identity(run)}
    if about := read_image_facts(run):
        facts = {"classes": about.class_names, "mean": about.mean, "std": about.std}
        known |= {name: json.dumps(fact) for name, fact in facts.items() if fact is not None}
        known["images"] = about.counted_on
    if outcome := records.read_if_written(run.result, Outcome):
        known |= measured(outcome.accuracy, outcome.measured)
    return known


def measured(accuracy: Accuracy | None, latency: Latency | None = None) -> dict[str, str]:
    """Accuracy and latency as notes, by the names of ``MEASURED``; what is None is left out."""
    share = {} if accuracy is None else {"accuracy": f"{accuracy.value:.4f}"}
    return share if latency is None else share | {"latency_ms": f"{latency.ms:.6g}"}


def check_notes(notes: Mapping[str, str]) -> None:
    """Raise UsageError, naming the first note that makes no sense."""
    if "classes" in notes:
        names = parsed("classes", notes["classes"])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _senseless("classes", notes["classes"], "a list of names")
        if len(set(names)) != len(names):
            raise _senseless("classes", notes["classes"], "different names")
    for name in ("mean", "std"):
        if name in notes:
            values = parsed(name, notes[name])
            if not (isinstance(values, list) and len(values) == 3 and all(map(is_finite, values))):
                raise _senseless(name, notes[name], "three numbers")
            if name == "std" and min(values) <= 0:
                raise _senseless(name, notes[name], "three numbers above 0")
    for name, most in (("accuracy", 1.0), ("latency_ms", 1e9)):
        if name in notes and not _within(notes[name], most):
            raise _senseless(name, notes[name], f"a number from 0 to {most:g}")


def parsed(name: str, text: str) -> Any:
    """Return a note's JSON value; raises UsageError where it is not JSON."""
    try:
        return parse_json(text)
    except ValueError:
        raise _senseless(name, text, "JSON") from None


def _senseless(name: str, text: str, wanted: str) -> UsageError:
    return UsageError(f"the metadata {name!r} must be {wanted}, got {text!r:.60}")


def _within(text: str, most: float) -> bool:
    try:
        return 0 <= float(text) <= most
    except ValueError:
        return False
