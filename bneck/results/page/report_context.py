"""What the report's sections show, worked out from the records; the words are the page's."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bneck import units
from bneck.results.classification import Classification
from bneck.results.page.report_data import ReportData
from bneck.results.record import Baseline, Outcome, Record, Step
from bneck.results.similarity import Similarity
from bneck.results.stage_result import Found
from bneck.results.table import Row, rows, times
from bneck.space.architecture import Architecture
from bneck.space.cost import cost
from bneck.units import duration

MOST_IN_MATRIX = 20
"""Classes of which a confusion matrix can be read on a page."""


def failures(records: Sequence[Record]) -> list[tuple[str, int]]:
    """Reasons, commonest first; what follows a colon is particular to one network."""
    reasons = (record.error.partition(":")[0] for record in records if record.error)
    return Counter(reasons).most_common()


def moves(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Each step with what it saved and cost, against the step before or its own proposal."""
    table = []
    for before, step in zip((None, *steps), steps, strict=False):
        taken = next((p for p in step.proposals if p.move == step.move), None)
        saved = before.latency_ms - step.latency_ms if before else taken and taken.saved_ms
        gained = None
        if before and before.accuracy is not None and step.accuracy is not None:
            gained = step.accuracy.value - before.accuracy.value
        table.append({"step": step, "saved_ms": saved, "gained": gained})
    return table


def network(name: str, arch: Architecture, breakdown: Mapping[str, float] | None) -> dict[str, Any]:
    """A network's rows, with ms and share of each where a breakdown is known.

    Args:
        name: the network's, as the page shows it.
        arch: the network.
        breakdown: predicted ms by layer or block path; None where it is not known.
    """
    table: tuple[Row, ...] = rows(arch)
    spent = times(table, breakdown or {})
    paths = {row.path for row in table}
    return {
        "name": name,
        "arch": arch,
        "rows": table,
        "spent": spent if breakdown else None,
        "rest": {path: ms for path, ms in spent.items() if path not in paths},
        "total": sum(spent.values()),
        "most": max(spent.values()),
    }


def compared(data: ReportData) -> list[tuple[str, Outcome | Baseline]]:
    """The derived network first, those for other targets, then the baselines, fastest first."""
    if data.outcome is None:
        return []
    known = [(one, one.measured or one.predicted) for one in data.baselines]
    ordered = sorted(known, key=lambda pair: pair[1].ms if pair[1] else 0)
    named = [(one.name, one) for one, _ in ordered]
    return [("derived", data.outcome), *data.others.items(), *named]


def found(networks: Sequence[Found]) -> list[dict[str, Any]]:
    """The networks of a stage with their costs."""
    return [{"one": one, "cost": cost(one.arch)} for one in networks]


def classes(found: Classification | None) -> dict[str, Any] | None:
    """Figures of each class, and the confusion matrix where it is small enough to be read."""
    if found is None:
        return None
    shown = found.confusion if len(found.classes) <= MOST_IN_MATRIX else ()
    names = [one.name for one in found.classes]
    return {
        "balanced": units.percent(found.balanced_accuracy),
        "calibration_error": units.percent(found.calibration_error),
        "by_chance": units.percent(found.calibration_error_by_chance),
        "images": sum(one.images for one in found.classes),
        "rows": [
            (one.name, one.images, units.percent(one.recall), units.percent(one.precision))
            for one in found.classes
        ],
        "names": names if shown else [],
        "confusion": list(zip(names, shown, strict=False)),
    }


def likeness(found: Similarity) -> list[dict[str, Any]]:
    """A row per trait: its profiles in words, and its percentile."""

    def words(values: Sequence[float]) -> str:
        return " · ".join(f"{value:.2g}" for value in values)

    return [
        {
            "name": trait.name,
            "network": words(trait.network),
            "published": words(trait.published),
            "random": words(trait.random_mean),
            "percentile": trait.percentile,
        }
        for trait in found.traits
    ]


def calibration(figures: Mapping[str, Any]) -> dict[str, str]:
    """The latency model's figures with their units, in words."""
    known: dict[str, tuple[str, Callable[[Any], str]]] = {
        "seconds": ("calibration took", duration),
        "held_out": ("held-out networks", str),
        "mape_percent": ("mean error", _percent),
        "networks": ("networks timed", str),
        "bias_percent": ("mean signed error", _percent),
        "within_5_percent": ("within ± 5 %", _percent),
        "within_10_percent": ("within ± 10 %", _percent),
        "repeat_mape_percent": ("measuring twice differs by", _percent),
    }
    words = {}
    for name, value in figures.items():
        if name == "doubt":  # a sentence, which stands by itself
            continue
        label, show = known.get(name, (name.replace("_", " "), str))
        words[label] = show(value)
    return words


def _percent(value: float) -> str:
    return f"{value:.1f} %"
