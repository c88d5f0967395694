"""The report's pictures."""

import gzip
from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from itertools import cycle

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from bneck.quantities import Accuracy
from bneck.results.page.figure_style import (
    ACCENT,
    DOT,
    HOVER,
    add_line,
    add_targets,
    empty_figure,
    error_bar,
    hover_text,
)
from bneck.results.page.report_data import ReportData
from bneck.results.pareto import front
from bneck.results.record import Baseline, Outcome, Record


def library() -> bytes:
    """plotly.js, compressed with gzip to about 1.5 MB."""
    return gzip.compress(get_plotlyjs().encode(), mtime=0)


def to_json(figure: go.Figure) -> str:
    """A figure as JSON that can stand inside a script element."""
    text: str = figure.to_json()
    return text.replace("<", "\\u003c")


def compared(data: ReportData) -> go.Figure:
    """Accuracy over measured latency of the networks that were trained and measured alike."""
    figure = empty_figure("measured latency (ms)", "accuracy (%)")
    symbols = cycle(("diamond", "square", "triangle-up", "circle"))
    entries: list[tuple[str, Outcome | Baseline, str, str]] = [
        (baseline.name, baseline, "var(--baseline)", next(symbols)) for baseline in data.baselines
    ]
    entries += [(name, one, ACCENT, "star") for name, one in data.derived]
    for name, network, colour, symbol in entries:
        if network.accuracy is None or network.measured is None:
            continue
        figure.add_scatter(
            name=escape(name),
            x=[network.measured.ms],
            y=[100 * network.accuracy.value],
            error_x=error_bar([network.measured.std_ms], colour),
            error_y=error_bar([network.accuracy.stderr], colour, 100),
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 13 if symbol == "star" else 10},
            text=[hover_text(escape(name), network.arch)],
            hovertemplate="%{x:.4g} ms, %{y:.2f} %<br>%{text}<extra></extra>",
        )
    add_targets(figure, [one.target_ms for _, one in data.derived])
    return figure


def search(data: ReportData) -> go.Figure:
    """Proxy accuracy over predicted latency of every scored network, with the Pareto front.

    The front has error bars of one standard error, as far as they are known. NetAdapt's seed
    network is ringed; through each tangent goes the curve of equal ``ACC * LAT^w``.
    """
    figure = empty_figure("predicted latency (ms)", "proxy accuracy (%)")
    draw = partial(_trials, figure, data.names)
    best = front(data.tried)
    on_front, error = {record.number for record in best}, data.latency_error
    scored = [record for record in data.tried if record.accuracy is not None]
    others = [record for record in scored if record.number not in on_front]
    draw("networks", others, mode="markers", marker=DOT)
    draw(
        "Pareto front",
        best,
        mode="lines+markers",
        line={"color": ACCENT, "width": 2, "shape": "hv"},
        marker={"color": ACCENT, "size": 8},
        error_x=error_bar([error and error * record.latency_ms for record in best], ACCENT),
        error_y=error_bar([_stderr(record, data.counted_on) for record in best], ACCENT, 100),
    )
    chosen = [record for record in scored if record.arch == data.seed][:1]
    ring = {"size": 17, "symbol": "circle-open", "line": {"width": 2.5}, "color": "var(--target)"}
    if chosen:
        draw("seed", chosen, mode="markers", marker=ring)
    for ms, accuracy, weight in data.tangents:
        near = [ms * 1.3 ** (step / 5) for step in range(-5, 6)]
        figure.add_scatter(
            name=f"equal reward, w = {weight:.3f}",
            x=near,
            y=[100 * accuracy * (x / ms) ** -weight for x in near],
            mode="lines",
            line={"color": "var(--baseline)", "width": 1.5, "dash": "dash"},
            hoverinfo="skip",
        )
    add_targets(figure, data.targets_ms)
    if data.ceiling_ms is not None:
        add_line(figure, "ceiling", data.ceiling_ms, "var(--muted)", "dot", "top right")
    return figure


def path(data: ReportData) -> go.Figure:
    """NetAdapt's way to the target: every proposal, and the line through those taken."""
    figure = empty_figure("predicted latency (ms)", "accuracy after fine-tuning (%)")
    tried = [
        (step.number, proposal, 100 * proposal.accuracy.value)
        for step in data.steps
        for proposal in step.proposals
        if proposal.accuracy is not None
    ]
    figure.add_scatter(
        name="proposals",
        x=[proposal.latency_ms for _, proposal, _ in tried],
        y=[percent for *_, percent in tried],
        mode="markers",
        marker=DOT,
        text=[f"step {number}: {escape(p.move)}" for number, p, _ in tried],
        hovertemplate=HOVER,
    )
    taken = [(step, 100 * step.accuracy.value) for step in data.steps if step.accuracy]
    figure.add_scatter(
        name="taken",
        x=[step.latency_ms for step, _ in taken],
        y=[percent for _, percent in taken],
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
        marker={"color": ACCENT, "size": 8},
        text=[
            hover_text(f"step {step.number}: {escape(step.move)}", step.arch) for step, _ in taken
        ],
        hovertemplate=HOVER,
    )
    add_targets(figure, data.shrunk_to_ms)
    return figure


def calibration(held_out: Sequence[Sequence[float]]) -> go.Figure:
    """How far the latency model was off on networks it had not seen, over what they took.

    ``held_out`` holds pairs of predicted and measured ms.
    """
    figure = empty_figure("measured latency (ms)", "prediction error (%)")
    figure.add_scatter(
        name="held-out networks",
        x=[_rounded(measured) for _, measured in held_out],
        y=[round(100 * (predicted / measured - 1), 3) for predicted, measured in held_out],
        mode="markers",
        marker={"color": ACCENT, "size": 7, "opacity": 0.75},
        hovertemplate="%{x:.4g} ms measured<br>predicted %{y:+.1f} % off<extra></extra>",
    )
    figure.add_hrect(y0=-5, y1=5, line_width=0, fillcolor="var(--bar)", opacity=0.15)
    figure.add_hline(y=0, line={"color": "var(--muted)", "width": 1})
    figure.update_layout(showlegend=False)
    return figure


def _stderr(record: Record, images: int | None) -> float | None:
    return Accuracy.counted(record.accuracy or 0.0, images).stderr if images else None


def _rounded(ms: float) -> float:
    """To five significant digits, which keep the page small and networks of microseconds apart."""
    return float(f"{ms:.5g}")


def _trials(
    figure: go.Figure,
    names: Mapping[int, str],
    name: str,
    records: Sequence[Record],
    **style: object,
) -> None:
    def title(number: int) -> str:
        return f"{names[number]} network" if number in names else f"network {number}"

    figure.add_scatter(
        name=name,
        x=[_rounded(record.latency_ms) for record in records],
        y=[round(100 * (record.accuracy or 0), 2) for record in records],
        text=[hover_text(title(record.number), record.arch) for record in records],
        hovertemplate=HOVER,
        **style,
    )
