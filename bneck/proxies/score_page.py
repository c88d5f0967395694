"""One self-contained page of small pictures: each proxy's ranking against the accuracies."""

from collections.abc import Mapping
from html import escape

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bneck.proxies.score import Agreement, Cost
from bneck.proxies.surrogate.correlation import ranks
from bneck.proxies.surrogate.table import Table

_COLUMNS = 4
_ROW_PX = 240


def page(table: Table, agreements: Mapping[str, Agreement], *, band: Cost, band_name: str) -> str:
    """Draw each proxy's ranking against the table's accuracies as HTML without external parts.

    Args:
        table: the networks and their accuracies.
        agreements: by the proxy's word.
        band: cost that colours the dots.
        band_name: what the legend calls it.
    """
    rows = -(-len(agreements) // _COLUMNS)
    titles = [
        f"{escape(word)}<br>Spearman {one.spearman.value:+.2f}, in band {one.in_band.value:+.2f}"
        for word, one in agreements.items()
    ]
    figure = make_subplots(rows, _COLUMNS, subplot_titles=titles)
    costs = dict(zip(table.accuracies, ranks([band(a) for a in table.accuracies]), strict=True))
    for place, agreement in enumerate(agreements.values()):
        archs = list(agreement.scores)
        figure.add_trace(
            go.Scattergl(
                x=ranks(list(agreement.scores.values())),
                y=ranks([table.accuracies[arch] for arch in archs]),
                mode="markers",
                marker={"size": 5, "color": [costs[a] for a in archs], "colorscale": "Portland"},
                hoverinfo="skip",
            ),
            place // _COLUMNS + 1,
            place % _COLUMNS + 1,
        )
    figure.update_xaxes(showticklabels=False)
    figure.update_yaxes(showticklabels=False)
    figure.update_annotations(font_size=12)
    figure.update_layout(
        title=f"Proxies on {escape(table.name)}<br><sub>Across: a network's rank by the proxy; "
        f"up: its rank by accuracy; colour: {escape(band_name)}, from blue (least) to red (most). "
        "Dots of one colour should rise from left to right.</sub>",
        showlegend=False,
        height=160 + _ROW_PX * rows,
    )
    html: str = figure.to_html(include_plotlyjs=True)
    return html
