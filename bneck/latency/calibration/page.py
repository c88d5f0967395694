"""The page about a calibration: is the model right, where does it miss, what do kernels cost."""

from contextlib import suppress
from html import escape
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from bneck.errors import NotCalibrated
from bneck.files import write_whole
from bneck.latency.features import Kernel
from bneck.latency.model import LatencyModel
from bneck.space.layers import ACTIVATIONS

CHANNELS = range(8, 257, 2)
SIDES = 4
"""Input sides that kernel curves are drawn for, the smallest first."""


def write_page(model: LatencyModel, path: Path) -> None:
    """Write ``latency.html``, which needs no other file and no network."""
    figures = [_predicted(model), _errors(model), *_curves(model)]
    drawn = "".join(
        figure.to_html(
            full_html=False,
            include_plotlyjs=number == 0,
            default_height=460,
            config={"responsive": True, "displayModeBar": False},
        )
        for number, figure in enumerate(figures)
    )
    write_whole(path, _PAGE.format(facts=_facts(model), figures=drawn))


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Latency calibration</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
padding: 0 1rem }}
table {{ border-collapse: collapse }}
td {{ padding: .1rem 1rem .1rem 0; vertical-align: top }}</style>
<h1>Latency calibration</h1>
<table>{facts}</table>
{figures}
</html>
"""


def _facts(model: LatencyModel) -> str:
    report = model.report
    rows = {
        "device": str(model.device),
        "input side": f"{model.resolution_px} px",
        "reference (MobileNetV3-Small)": f"{model.reference_ms:.3f} ms",
        "networks timed": f"{report.networks} in {report.seconds:.0f} s",
        "mean error on held-out networks": f"{report.mape_percent:.2f} % of {report.held_out}",
        "of these within 5 % and 10 %": (
            f"{report.within_5_percent:.1f} % and {report.within_10_percent:.1f} %"
        ),
        "bias": f"{report.bias_percent:+.2f} %",
        "noise floor: measuring again moves a time by": (
            f"{report.repeat_mape_percent:.2f} %"
            if report.repeat_mape_percent
            else "not known, for nothing was measured again"
        ),
        "stated standard deviation": f"{100 * model.error:.2f} %",
        "doubts": model.report.doubt or "none",
        "channels come in blocks of": str(model.blocking.grid),
        "fast kernels read channels in multiples of": str(model.blocking.alignment),
    }
    return "".join(f"<tr><td>{name}<td>{escape(value)}" for name, value in rows.items())


def _figure(title: str, x: str, y: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(title=title, template="plotly_white", xaxis_title=x, yaxis_title=y)
    figure.update_layout(legend={"orientation": "h", "y": 1, "yanchor": "bottom"})
    figure.update_layout(margin={"l": 60, "r": 20})  # px, that a phone has room for
    return figure


def _predicted(model: LatencyModel) -> go.Figure:
    predicted, measured = np.array(model.held_out).T
    figure = _figure("Held-out networks", "measured ms", "predicted ms")
    ends = [0.95 * measured.min(), 1.05 * measured.max()]
    lines = ("10 % more", 1.1, "dot"), ("equal", 1.0, "solid"), ("10 % less", 0.9, "dot")
    for name, factor, dash in lines:
        line = [factor * end for end in ends]
        style = {"dash": dash, "color": "grey", "width": 1}
        figure.add_scatter(x=ends, y=line, name=name, mode="lines", line=style)
    figure.add_scatter(x=measured, y=predicted, mode="markers", name="network")
    return figure


def _errors(model: LatencyModel) -> go.Figure:
    predicted, measured = np.array(model.held_out).T
    figure = _figure("Error of the prediction", "percent of the measured time", "networks")
    figure.add_histogram(x=100 * (predicted / measured - 1), xbins={"size": 1})
    if floor := model.report.repeat_mape_percent:
        figure.add_vrect(
            x0=-floor, x1=floor, opacity=0.15, fillcolor="grey", annotation_text="noise floor"
        )
    return figure


def _curves(model: LatencyModel) -> list[go.Figure]:
    """ms against channels, for those kernels that most of the time goes to and that were timed."""
    timed = [name for name in ACTIVATIONS if f"depthwise {name}" in model.coefficients]
    activation = timed[0] if timed else "none"

    def pointwise(channels: int, px: int) -> Kernel:
        return Kernel("pointwise", channels, channels, 1, 1, px, "none")

    def depthwise(channels: int, px: int) -> Kernel:
        return Kernel("depthwise", channels, channels, 3, 1, px, activation)

    alignment = model.blocking.alignment  # between its multiples a curve would go up and down
    drawn = [channels for channels in CHANNELS if channels % alignment == 0]
    figures = []
    for name, kernel in (("1x1 convolution", pointwise), ("3x3 depthwise", depthwise)):
        figure = _figure(f"{name}, as many channels out as in", _multiples(alignment), "ms")
        with suppress(NotCalibrated):  # a space may have other windows only
            for px in _sides(model, kernel(8, 1).kind):
                times = [model.kernel_ms(kernel(channels, px)) for channels in drawn]
                figure.add_scatter(x=drawn, y=times, mode="lines", name=f"{px} px")
            figures.append(figure)
    return figures


def _multiples(alignment: int) -> str:
    return "channels" if alignment == 1 else f"channels, in multiples of {alignment}"


def _sides(model: LatencyModel, kind: str) -> list[int]:
    """The smallest sides that kernels of this kind were timed at."""
    names = [name for name in model.coefficients if name.startswith(f"{kind} ") and " @" in name]
    ends = {name.rpartition("@")[2] for name in names}
    return sorted(int(end) for end in ends if end.isdigit())[:SIDES]
