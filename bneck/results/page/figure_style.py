"""How the report's pictures look. Colours are the page's CSS variables: light and dark agree."""

from collections.abc import Iterable, Sequence

import plotly.graph_objects as go

from bneck.results.table import in_words
from bneck.space.architecture import Architecture

ACCENT = "var(--accent)"
DOT = {"color": "var(--dot)", "size": 6, "opacity": 0.65}
HOVER = "%{text}<br>%{x:.4g} ms, %{y:.2f} %<extra></extra>"
"""What is shown of a point under the pointer: its text, then its place."""


def empty_figure(x_title: str, y_title: str) -> go.Figure:
    """Return axes on which nothing is drawn yet."""
    axis = {
        "gridcolor": "var(--line)",
        "linecolor": "var(--muted)",
        "tickfont": {"color": "var(--muted)"},
        "zeroline": False,
        "showline": True,
        "automargin": True,
    }
    return go.Figure(
        layout={
            "template": "none",
            "font": {"family": "inherit", "size": 13, "color": "var(--ink)"},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 48, "r": 12, "t": 8, "b": 44},
            "xaxis": {**axis, "title": {"text": x_title}},
            "yaxis": {**axis, "title": {"text": y_title, "standoff": 8}},
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "hoverlabel": {
                "align": "left",
                "bgcolor": "var(--card)",
                "bordercolor": "var(--muted)",
                "font": {"color": "var(--ink)", "size": 12},
            },
            "showlegend": True,
        }
    )


def add_targets(figure: go.Figure, targets_ms: Iterable[float]) -> None:
    """Draw a line at each target."""
    for ms in targets_ms:
        add_line(figure, "target", ms, "var(--target)", "dash", "top left")


def add_line(figure: go.Figure, name: str, ms: float, colour: str, dash: str, place: str) -> None:
    """Draw an upright line.

    Args:
        figure: that it is drawn in.
        name: stands beside it.
        ms: where it is.
        colour: of line and name.
        dash: how plotly dashes it, such as "dot".
        place: of the name, as plotly says it, such as "top left".
    """
    figure.add_vline(
        x=ms,
        line={"color": colour, "dash": dash, "width": 1.5},
        annotation={"text": name, "font": {"color": colour, "size": 12}},
        annotation_position=place,
    )


def error_bar(spread: Sequence[float | None], colour: str, scale: float = 1) -> dict[str, object]:
    """Return error bars.

    Args:
        spread: of each point, to both sides; None for none.
        colour: of the bars.
        scale: that ``spread`` is multiplied by.
    """
    array = [scale * (value or 0) for value in spread]
    return {"type": "data", "array": array, "color": colour, "thickness": 1.5, "width": 4}


def hover_text(title: str, arch: Architecture) -> str:
    """Return what is shown of a network under the pointer."""
    return "<br>".join((f"<b>{title}</b>", *in_words(arch)))
