"""One HTML page about a run: nothing to load, works offline, on a phone and on paper."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import jinja2
from jinja2.runtime import Context

from bneck import __version__
from bneck.quantities import Latency, duration
from bneck.results import interactive_figures, report_context, units
from bneck.results.classification import Classification
from bneck.results.exports.int8_text import cost_of_int8
from bneck.results.pareto import front
from bneck.results.provenance import MadeWith
from bneck.results.record import Baseline, Inherited, Outcome, Record, Step
from bneck.results.similarity import Similarity
from bneck.results.stage_result import StageResult
from bneck.results.summary import (
    against,
    finished_stage,
    only_answer,
    reservations,
    unfinished,
    verdict,
)
from bneck.results.table import in_words
from bneck.space.architecture import Architecture
from bneck.space.presets import MOBILENET_V3_SMALL
from bneck.text import in_list

PAGE = Path(__file__).parent / "page"


@dataclass(frozen=True)
class ReportData:
    """All that the page shows; what is not known yet is None or empty.

    ``breakdown`` gives the derived network's predicted ms by layer or block path, ``calibration``
    the latency model's figures by name, ``seed`` the network the search handed to NetAdapt.
    ``records`` has each network by its longest training, and ``failed_longer`` the longer trainings
    that failed. ``competitors`` are networks that no trial proposed, by a word for what they are:
    "pretrained" or "widened"; their numbers follow those of the search.
    ``held_out`` holds the predicted and measured ms of networks that the model had not seen, and
    ``latency_error`` its relative standard deviation; ``counted_on`` says on how many images the
    search counts accuracy.
    ``on_images`` sums the images up, and then says what speaks against trusting them.
    ``others`` are the outcomes for other targets of the same search, by their runs' folders.
    ``target_device`` says in words what the latencies are of: device, runtime and settings.
    ``inherited`` says what the network that NetAdapt or a training began with has of a pretrained
    one, and ``trained`` what the final training began with, in words.
    ``tangents`` are (ms, accuracy, w): where the reward with a derived w touches the front.
    ``classification`` is the derived network's, class by class.
    ``found`` is what a run that is not a whole derivation ended with.
    """

    name: str
    state: str
    plan: Mapping[str, Any]
    sessions: tuple[MadeWith, ...] = ()
    records: tuple[Record, ...] = ()
    failed_longer: tuple[Record, ...] = ()
    competitors: Mapping[str, tuple[Record, ...]] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    seed: Architecture | None = None
    outcome: Outcome | None = None
    baselines: tuple[Baseline, ...] = ()
    others: Mapping[str, Outcome] = field(default_factory=dict)
    breakdown: Mapping[str, float] | None = None
    target_device: str = ""
    calibration: Mapping[str, Any] | None = None
    target_ms: float | None = None
    ceiling_ms: float | None = None
    tangents: tuple[tuple[float, float, float], ...] = ()
    class_names: tuple[str, ...] = ()
    on_images: tuple[str, ...] = ()
    held_out: Sequence[Sequence[float]] = ()
    latency_error: float | None = None
    counted_on: int | None = None
    folds: int = 1
    likeness: Similarity | None = None
    classification: Classification | None = None
    inherited: Inherited | None = None
    trained: str = "from scratch"
    found: StageResult = field(default_factory=StageResult)

    @property
    def command(self) -> str:
        """What repeats the run; that of its last session, as the plan may have been changed."""
        return self.sessions[-1].command if self.sessions else ""

    @property
    def tried(self) -> tuple[Record, ...]:
        """The networks of the search, and then those that competed with them."""
        return (*self.records, *chain.from_iterable(self.competitors.values()))

    @property
    def names(self) -> dict[int, str]:
        """What those networks are that no trial proposed, by their numbers."""
        return {one.number: word for word, some in self.competitors.items() for one in some}

    @property
    def targets_ms(self) -> tuple[float, ...]:
        """One target or several, as far as known."""
        found = tuple(one.target_ms for one in self.found.networks if one.target_ms is not None)
        if self.target_ms is None or found:
            return found
        return (self.target_ms, *(other.target_ms for other in self.others.values()))

    @property
    def shrunk_to_ms(self) -> tuple[float, ...]:
        """The targets of this run's own NetAdapt; for the others of a derivation there are runs."""
        return self.targets_ms[:1] if self.others else self.targets_ms

    @property
    def compares(self) -> bool:
        """Whether the derived network's accuracy and measured latency are known, to be drawn."""
        return bool(self.outcome and self.outcome.accuracy and self.outcome.measured)


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
        compared=report_context.compared(data.outcome, data.others, data.baselines),
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


@cache
def _template() -> jinja2.Template:
    """The page with its filters; to compile it takes longer than to fill it in."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        in_8_bits=cost_of_int8,
        in_list=in_list,
        percent=units.percent,
        count=units.count,
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
    return unfinished(data.state, data.records, data.steps, data.target_ms)


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
    if data.outcome and data.compares:
        figures["compared"] = interactive_figures.compared(
            data.outcome, data.baselines, data.others.values()
        )
    if any(record.accuracy is not None for record in data.tried):
        figures["search"] = interactive_figures.search(
            data.tried,
            names=data.names,
            seed=data.seed,
            targets_ms=data.targets_ms,
            ceiling_ms=data.ceiling_ms,
            counted_on=data.counted_on,
            latency_error=data.latency_error,
            tangents=data.tangents,
        )
    if sum(step.accuracy is not None for step in data.steps) > 1:
        figures["path"] = interactive_figures.path(data.steps, targets_ms=data.shrunk_to_ms)
    if data.held_out:
        figures["calibration"] = interactive_figures.calibration(data.held_out)
    return {name: interactive_figures.to_json(figure) for name, figure in figures.items()}


@lru_cache(maxsize=1)
def _library() -> str:
    return b64encode(interactive_figures.library()).decode()
