"""What a run shows of itself in a notebook: frames of its trials and steps, and its page."""

import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bneck import units
from bneck.errors import UsageError
from bneck.results import static_figures
from bneck.results.page.report import sentences
from bneck.results.page.report_data import ReportData
from bneck.results.record import Baseline, Outcome, Proposal, Record, Step
from bneck.results.table import in_words
from bneck.text import spelt_out

if TYPE_CHECKING:
    import pandas as pd


TRIAL = ("number", "accuracy", "latency_ms", "reward", "error", "seconds", "rung")
PROPOSAL = ("move", "latency_ms", "saved_ms", "accuracy", "accuracy_stderr", "error")


def trials(records: Sequence[Record]) -> "pd.DataFrame":
    """Return the networks of a search, one per row, by number."""
    rows = [
        (*(getattr(record, name) for name in TRIAL), "; ".join(in_words(record.arch)))
        for record in records
    ]
    return _frame(rows, (*TRIAL, "network"))


def steps(path: Sequence[Step]) -> "pd.DataFrame":
    """Return NetAdapt's proposals, one per row; ``taken`` marks the one that each step took."""
    rows = [
        (step.number, proposal.move == step.move, *_proposal(proposal))
        for step in path
        for proposal in (step.proposals or (_seed(step),))
    ]
    return _frame(rows, ("step", "taken", *PROPOSAL)).astype({"taken": bool})


def page(data: ReportData, report: Path) -> str:
    """Return headline, networks side by side, and a picture as HTML.

    What is not markup of ours is escaped.

    Args:
        data: the results of a run.
        report: the file of its report, which is named at the end.
    """
    title, text = sentences(data)
    return spelt_out(
        f"<h3>{escape(title)}</h3><p>{escape(text)}</p>{_table(data)}{_picture(data)}"
        f"<p><code>{escape(str(report))}</code></p>"
    )


def _seed(step: Step) -> Proposal:
    return Proposal(step.arch, "the seed", step.latency_ms, 0.0, step.accuracy)


def _proposal(proposal: Proposal) -> tuple[Any, ...]:
    """What is shown of a proposal, in the order of ``PROPOSAL``."""
    found = proposal.accuracy
    shown = (proposal.move, proposal.latency_ms, proposal.saved_ms)
    return (*shown, found and found.value, found and found.stderr, proposal.error)


def _frame(rows: Sequence[tuple[Any, ...]], columns: Sequence[str]) -> "pd.DataFrame":
    """A frame of rows, by its first column; it has its columns while there are no rows yet."""
    try:
        import pandas as pd
    except ImportError:
        raise UsageError("frames need pandas: pip install 'bneck[notebook]'") from None
    return pd.DataFrame(list(rows), columns=list(columns)).set_index(columns[0])


def _table(data: ReportData) -> str:
    if data.outcome is None:
        return ""
    networks: list[tuple[str, Outcome | Baseline]] = [*data.derived]
    networks += [(baseline.name, baseline) for baseline in data.baselines]
    places = units.decimals(data.outcome.target_ms)
    rows = []
    for name, network in networks:
        cells = (
            name,
            _latency(network, places),
            units.percent(network.accuracy),
            units.count(network.params),
            units.count(network.macs),
        )
        rows.append("".join(f"<td>{escape(cell)}</td>" for cell in cells))
    heads = ("network", "measured ms", "accuracy", "parameters", "multiply-adds")
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _latency(network: Outcome | Baseline, places: int) -> str:
    if network.measured is None and network.predicted is not None:
        return f"{units.milliseconds(network.predicted, places)} predicted"
    return units.milliseconds(network.measured, places)


def _picture(data: ReportData) -> str:
    if data.outcome and data.compares:
        figure = static_figures.outcome(data.outcome, data.baselines, data.others.values())
    elif any(record.accuracy is not None for record in data.tried):
        figure = static_figures.search(data.tried, targets_ms=data.targets_ms)
    else:
        return ""
    svg = io.StringIO()
    figure.savefig(svg, format="svg", bbox_inches="tight")
    return svg.getvalue().partition("<!DOCTYPE")[2].partition(">")[2]
