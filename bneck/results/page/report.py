"""One HTML page about a run: nothing to load, works offline, on a phone and on paper."""

import re
from base64 import b64encode
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.runtime import Context

from bneck import __version__, units
from bneck.quantities import Latency
from bneck.results.exports.int8_text import cost_of_int8
from bneck.results.page import interactive_figures, report_context
from bneck.results.page.report_data import ReportData
from bneck.results.pareto import front
from bneck.results.summary import (
    against,
    finished_stage,
    only_answer,
    reservations,
    unfinished,
    verdict,
)
from bneck.results.table import in_words
from bneck.space.presets import MOBILENET_V3_SMALL
from bneck.text import harmless, in_list, number_of
from bneck.units import duration

PAGE = Path(__file__).parent


def build(data: ReportData) -> str:
    """The page as one string of HTML; every value that is not markup of ours is escaped."""
    figures = _figures(data)
    return _template().render(
        data=data,
        places=units.decimals(_scale_ms(data)),
        headline=_headline(data),
        front=front(data.tried),
        failures=report_context.failures((*data.tried, *data.failed_longer)),
        moves=report_context.moves(data.steps),
        networks=_networks(data),
        compared=report_context.compared(data),
        found=report_context.found(data.found.networks),
        classes=report_context.classes(data.classification),
        likeness=report_context.likeness(data.likeness) if data.likeness else [],
        calibration=report_context.calibration(data.calibration or {}),
        figures=figures,
        library=_library() if figures else "",
        css=(PAGE / "report.css").read_text(encoding="utf-8"),
        script=(PAGE / "report.js").read_text(encoding="utf-8"),
        version=__version__,
        built=datetime.now(UTC),
    )


def _spelt_out(value: Any) -> Any:
    """Text of names that would turn the page's writing around; not what is HTML already."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return harmless(value) if is_text else value


@cache
def _template() -> jinja2.Template:
    """The page with its filters; to compile it takes longer than to fill it in."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=True,
        finalize=_spelt_out,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        in_8_bits=cost_of_int8,
        in_list=in_list,
        percent=units.percent,
        count=units.count,
        number_of=number_of,
        duration=duration,
        words=in_words,
        ms=_ms,
        spread=_spread,
    )
    return environment.get_template("report.html")


@jinja2.pass_context
def _ms(page: Context, value: Latency | float | None, extra: int = 0) -> str:
    return units.milliseconds(value, page["places"] + extra)


@jinja2.pass_context
def _spread(page: Context, spread: float) -> str:
    return units.spread_alone(spread, page["places"])


def _scale_ms(data: ReportData) -> float:
    """A latency of the usual size on this page: it decides how many digits all of them show."""
    known = [data.target_ms, data.outcome.target_ms if data.outcome else None]
    known += [one.measured.ms for one in data.found.networks if one.measured]
    known += [record.latency_ms for record in data.records[:1]]
    return next((ms for ms in known if ms), 1.0)


def sentences(data: ReportData) -> tuple[str, str]:
    """Title and text: what came out, or how far the run is."""
    if data.outcome is not None:
        named = {baseline.name: baseline for baseline in data.baselines}
        baseline = named.get(MOBILENET_V3_SMALL, next(iter(data.baselines), None))
        compared = against(data.outcome, baseline) if baseline else ""
        said = (reservations(data.outcome), compared, only_answer(data.classification))
        return verdict(data.outcome), " ".join(filter(None, said))
    if data.found.networks and data.state == "finished":
        return finished_stage(data.found.networks, data.found.stage)
    return unfinished(data.state, data.records, data.steps, data.target_ms, data.kind)


def _headline(data: ReportData) -> tuple[str, ...]:
    kept_together = r"(?<=\d) (?=%|ms|±)|(?<=±) "
    return tuple(re.sub(kept_together, "\u00a0", text) for text in sentences(data))


def _networks(data: ReportData) -> list[dict[str, Any]]:
    """The derived network, or those of a stage alone, block by block."""
    if data.outcome is not None:
        return [report_context.network("derived", data.outcome.arch, data.breakdown)]
    return [
        report_context.network(one.name, one.arch, one.breakdown) for one in data.found.networks
    ]


def _figures(data: ReportData) -> dict[str, str]:
    """Each picture's JSON by the id of its place; pictures without a point are left out."""
    figures = {}
    if data.compares:
        figures["compared"] = interactive_figures.compared(data)
    if any(record.accuracy is not None for record in data.tried):
        figures["search"] = interactive_figures.search(data)
    if sum(step.accuracy is not None for step in data.steps) > 1:
        figures["path"] = interactive_figures.path(data)
    if data.held_out:
        figures["calibration"] = interactive_figures.calibration(data.held_out)
    return {name: interactive_figures.to_json(figure) for name, figure in figures.items()}


@lru_cache(maxsize=1)
def _library() -> str:
    return b64encode(interactive_figures.library()).decode()
