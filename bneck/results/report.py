"""One HTML page that tells a run: nothing to load, works offline, on a phone and on paper."""

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

from bneck import __version__
from bneck.results import plots, units
from bneck.results.headline import against, unfinished, verdict
from bneck.results.made_with import MadeWith
from bneck.results.pareto import front
from bneck.results.record import Baseline, Outcome, Record, Step
from bneck.results.table import Row, in_words, rows, times
from bneck.space.architecture import Architecture

PAGE = Path(__file__).parent / "page"


@dataclass(frozen=True)
class ReportData:
    """All that the page shows; what is not known yet is None or empty.

    ``breakdown`` gives the derived network's predicted ms by layer or block path, ``calibration``
    the latency model's figures by name, ``seed`` the network the search handed to NetAdapt.
    ``judged`` holds the predicted and the measured ms of networks that the model had not seen, and
    ``latency_error`` its relative standard deviation; ``counted_on`` says on how many images the
    search counts accuracy.
    ``tangents`` are (ms, accuracy, w): where the reward with a derived w touches the front.
    """

    name: str
    state: str
    plan: Mapping[str, Any]
    sittings: tuple[MadeWith, ...] = ()
    records: tuple[Record, ...] = ()
    steps: tuple[Step, ...] = ()
    seed: Architecture | None = None
    outcome: Outcome | None = None
    baselines: tuple[Baseline, ...] = ()
    breakdown: Mapping[str, float] | None = None
    calibration: Mapping[str, Any] | None = None
    target_ms: float | None = None
    ceiling_ms: float | None = None
    tangents: tuple[tuple[float, float, float], ...] = ()
    class_names: tuple[str, ...] = ()
    judged: Sequence[Sequence[float]] = ()
    latency_error: float | None = None
    counted_on: int | None = None


def build(data: ReportData) -> str:
    """The page as one string of HTML; every value that is not markup of ours is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=units.percent, count=units.count, duration=units.duration, words=in_words
    )
    places = units.decimals(_scale_ms(data))
    environment.filters["ms"] = lambda value, spread=None, extra=0: units.with_spread(
        value, spread, places + extra
    )
    figures = _figures(data)
    return environment.get_template("report.html").render(
        data=data,
        headline=_headline(data),
        front=front(data.records),
        failures=_failures(data.records),
        moves=_moves(data.steps),
        network=_network(data),
        compared=_compared(data),
        calibration=_calibration(data.calibration or {}),
        figures=figures,
        library=_library() if figures else "",
        css=(PAGE / "report.css").read_text(encoding="utf-8"),
        script=(PAGE / "report.js").read_text(encoding="utf-8"),
        version=__version__,
        built=datetime.now(UTC),
    )


def _scale_ms(data: ReportData) -> float:
    """A latency of the usual size on this page: it decides how many digits all of them show."""
    known = [data.target_ms, data.outcome.target_ms if data.outcome else None]
    known += [record.latency_ms for record in data.records[:1]]
    return next((ms for ms in known if ms), 1.0)


def _headline(data: ReportData) -> tuple[str, ...]:
    if data.outcome is None:
        sentences = unfinished(data.state, data.records, data.steps, data.target_ms)
    else:
        named = {baseline.name: baseline for baseline in data.baselines}
        baseline = named.get("mobilenet_v3_small", next(iter(data.baselines), None))
        beside = against(data.outcome, baseline) if baseline else ""
        sentences = verdict(data.outcome), beside
    return tuple(re.sub(r"(?<=\d) (?=%|ms|±)|(?<=±) ", "\u00a0", text) for text in sentences)


def _figures(data: ReportData) -> dict[str, str]:
    """Each picture's JSON by the id of its place; pictures without a point are left out."""
    figures = {}
    if data.outcome and data.outcome.accuracy is not None and data.outcome.measured_ms is not None:
        figures["compared"] = plots.compared(data.outcome, data.baselines)
    if any(record.accuracy is not None for record in data.records):
        figures["search"] = plots.search(
            data.records,
            seed=data.seed,
            target_ms=data.target_ms,
            ceiling_ms=data.ceiling_ms,
            counted_on=data.counted_on,
            latency_error=data.latency_error,
            tangents=data.tangents,
        )
    if any(step.accuracy is not None for step in data.steps):
        figures["path"] = plots.path(data.steps, target_ms=data.target_ms)
    if data.judged:
        figures["judged"] = plots.calibration(data.judged)
    return {name: plots.to_json(figure) for name, figure in figures.items()}


@lru_cache(maxsize=1)
def _library() -> str:
    return b64encode(plots.library()).decode()


def _failures(records: Sequence[Record]) -> list[tuple[str, int]]:
    """Reasons, commonest first; what follows a colon is particular to one network."""
    reasons = (record.error.partition(":")[0] for record in records if record.error)
    return Counter(reasons).most_common()


def _moves(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Each step with what it saved and cost, against the step before or its own proposal."""
    table = []
    for before, step in zip((None, *steps), steps, strict=False):
        taken = next((p for p in step.proposals if p.move == step.move), None)
        saved = before.latency_ms - step.latency_ms if before else taken and taken.saved_ms
        gained = None
        if before and before.accuracy is not None and step.accuracy is not None:
            gained = step.accuracy - before.accuracy
        table.append({"step": step, "saved_ms": saved, "gained": gained})
    return table


def _network(data: ReportData) -> dict[str, Any] | None:
    """The derived network's rows, with ms and share of each where a breakdown is known."""
    if data.outcome is None:
        return None
    table: tuple[Row, ...] = rows(data.outcome.arch)
    spent = times(table, data.breakdown or {})
    paths = {row.path for row in table}
    return {
        "rows": table,
        "spent": spent if data.breakdown else None,
        "rest": {path: ms for path, ms in spent.items() if path not in paths},
        "total": sum(spent.values()),
        "most": max(spent.values()),
    }


def _compared(data: ReportData) -> list[tuple[str, Outcome | Baseline]]:
    """The derived network first, then the baselines, fastest first."""
    if data.outcome is None:
        return []
    baselines = sorted(data.baselines, key=lambda baseline: baseline.measured_ms or 0)
    return [("derived", data.outcome), *((b.name, b) for b in baselines)]


def _calibration(figures: Mapping[str, Any]) -> dict[str, str]:
    """The latency model's figures with their units, in words."""
    known: dict[str, tuple[str, Callable[[Any], str]]] = {
        "seconds": ("calibration took", units.duration),
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
        label, show = known.get(name, (name.replace("_", " "), str))
        words[label] = show(value)
    return words


def _percent(value: float) -> str:
    return f"{value:.1f} %"
