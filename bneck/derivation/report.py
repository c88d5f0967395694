"""The report of a run, read from its folder alone; the run may still be going."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bneck import records
from bneck.derivation.plan import Plan
from bneck.derivation.results import (
    explained,
    how_trained,
    plan_of,
    read_competitors,
    read_trainings,
    result_of_last_stage,
)
from bneck.derivation.target import kept_targets, runs_of_other_targets
from bneck.errors import UsageError
from bneck.files import is_written, write_whole
from bneck.latency.model import LatencyModel
from bneck.latency.predictor import load_kept
from bneck.latency.published_table import PREFIX, PublishedTable
from bneck.path_checks import check_no_link
from bneck.proxies.data.image_info import judged_on
from bneck.proxies.proxy import SCORED_ON, shared_weights_run
from bneck.results import card
from bneck.results.classification import Classification
from bneck.results.image_facts import ImageFacts, kept_image_facts, read_image_facts
from bneck.results.page import report
from bneck.results.page.report_data import ReportData
from bneck.results.record import Baseline, Inherited, Outcome, Step
from bneck.results.run import Run
from bneck.results.run_files import PICTURES
from bneck.results.similarity import Similarity
from bneck.results.stage_record import SearchResult
from bneck.results.stage_result import StageResult
from bneck.results.table import rows, times
from bneck.search.promotion import trained_longest
from bneck.space import codec

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_report(run: Run) -> Path:
    """Write ``report.html``, and the model card of a finished run; return the report's path."""
    data = report_data(run)
    if data.outcome is not None:
        write_whole(run.card, card.build(data, kept_image_facts(run)))
    write_whole(run.report, report.build(data))
    return run.report


def write_pictures(run: Run) -> list[Path]:
    """Write what the report draws as PNG and SVG into ``pictures``; return the files.

    Raises:
        UsageError: ``pictures`` is a link, as in somebody else's run: it may lead anywhere.
    """
    check_no_link(run.folder / PICTURES, of="a run")
    from bneck.results import static_figures  # matplotlib, which no report needs

    data = report_data(run)
    drawn: dict[str, Figure] = {}
    if data.outcome and data.compares:
        others = data.others.values()
        drawn["outcome"] = static_figures.outcome(data.outcome, data.baselines, others)
    if data.outcome and data.breakdown:
        drawn["blocks"] = static_figures.blocks(times(rows(data.outcome.arch), data.breakdown))
    if any(record.accuracy is not None for record in data.tried):
        drawn["search"] = static_figures.search(data.tried, targets_ms=data.targets_ms)
    if any(step.accuracy is not None for step in data.steps):
        drawn["netadapt"] = static_figures.path(data.steps, targets_ms=data.shrunk_to_ms)
    files = []
    for name, figure in drawn.items():
        for suffix in (".png", ".svg"):
            files.append(run.folder / PICTURES / f"{name}{suffix}")
            static_figures.save(figure, files[-1])
    return files


def report_data(run: Run) -> ReportData:
    """Return all results of the run so far.

    Raises:
        UsageError: files that this version cannot read; names the version that wrote them. Or a
            reproduction, which has a summary instead.
    """
    if run.begun_by() == "reproduce":
        raise UsageError(
            f"{run.folder} holds a run of `bneck reproduce`, whose report is its summary.md; name "
            "the folder of one of its stages, such as search-paper"
        )
    with explained(run):
        return _report_data(run)


def _report_data(run: Run) -> ReportData:
    plan = plan_of(run)
    outcome = records.read_if_written(run.result, Outcome)
    model = load_kept(run.latency) if is_written(run.latency) else None
    calibrated = model if isinstance(model, LatencyModel) else None
    targets_ms = kept_targets(run)
    images = read_image_facts(run)
    target_ms = targets_ms[0] if targets_ms else None
    several = len(targets_ms) > 1
    folds = run.settled("folds") or 1
    trainings = read_trainings(run)
    return ReportData(
        name=run.folder.resolve().name,
        state=run.read_state(),
        plan=run.plan,
        sessions=run.read_sessions(),
        records=tuple(trained_longest(trainings)),
        competitors=read_competitors(run, trainings),
        failed_longer=tuple(one for one in trainings if one.rung and one.error),
        steps=records.read_lines(run.steps, Step),
        seed=codec.load(run.seed) if is_written(run.seed) else None,
        outcome=outcome,
        baselines=records.read_lines(run.baselines, Baseline),
        others=dict(_others(run)),
        breakdown=model.breakdown(outcome.arch) if model and outcome else None,
        target_device=_in_words(model) if model else "",
        calibration=_calibration(calibrated) if calibrated else None,
        held_out=calibrated.held_out if calibrated else (),
        latency_error=calibrated.error if calibrated else None,
        counted_on=_counted_on(plan, images, folds),
        folds=folds,
        class_names=images.class_names if images else (),
        on_images=images.notes if images else (),
        classification=records.read_if_written(run.classification, Classification),
        inherited=records.read_if_written(run.inherited, Inherited),
        trained=how_trained(plan),
        likeness=records.read_if_written(run.likeness, Similarity),
        target_ms=target_ms,
        found=result_of_last_stage(run, plan, model) if outcome is None else StageResult(),
        ceiling_ms=target_ms * plan.seed_factor if target_ms and not several else None,
        tangents=_tangents(run),
    )


def _in_words(model: LatencyModel | PublishedTable) -> str:
    """What the latencies are of, without the folder that a table was read from."""
    if isinstance(model, PublishedTable):
        return f"the device of the table {Path(model.name).name.removeprefix(PREFIX)}"
    return model.name


def _calibration(model: LatencyModel) -> dict[str, Any]:
    figures = asdict(model.report)
    del figures["busy"]
    return figures | ({"doubt": model.report.doubt} if model.report.doubt else {})


def _others(run: Run) -> Iterator[tuple[str, Outcome]]:
    """The finished derivations for other targets of the run's search, by folder."""
    for other in runs_of_other_targets(run):
        if outcome := records.read_if_written(other.result, Outcome):
            yield other.folder.relative_to(run.folder).as_posix(), outcome


def _tangents(run: Run) -> tuple[tuple[float, float, float], ...]:
    """(target in ms, accuracy of the predicted front there, w) where w was derived from labels."""
    result = records.read_if_written(run.winners, SearchResult)
    return tuple(
        (one.target_ms, one.front_accuracy, one.weight)
        for one in (result.networks if result else ())
        if one.front_accuracy is not None and one.weight is not None
    )


def _counted_on(plan: Plan, images: ImageFacts | None, folds: int) -> int | None:
    """Images that the search counts accuracy on; earlier versions did not note how many.

    A proxy of one's own may not count at all.
    """
    if not images or not images.trained_on:
        return None
    count = judged_on(images.trained_on, images.validated_on or 0, images.test, folds)
    if plan.scores_by_training:
        return count
    return min(count, SCORED_ON) if shared_weights_run(plan.proxy) else None
