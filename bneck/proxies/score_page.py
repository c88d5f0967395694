"""One self-contained page of small pictures: each proxy's ranking against the accuracies."""

from collections.abc import Mapping, Sequence
from html import escape

from bneck.proxies.score import Agreement, Cost
from bneck.proxies.surrogate.table import Table
from bneck.space.architecture import Architecture

_WIDTH, _HEIGHT = 240, 160
_STYLE = """
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; }
body { max-width: 1100px; margin: 2em auto; padding: 0 1em; }
main { display: flex; flex-wrap: wrap; gap: 1.5em; }
figure { margin: 0; }
svg { border: 1px solid #8886; border-radius: 4px; }
"""


def page(table: Table, agreements: Mapping[str, Agreement], *, band: Cost, band_name: str) -> str:
    """Draw each proxy's ranking against the table's accuracies as HTML without external parts.

    Args:
        table: the networks and their accuracies.
        agreements: by the proxy's word.
        band: cost that colours the dots.
        band_name: what the legend calls it.
    """
    cost_places = _places([band(arch) for arch in table.accuracies])
    hues = {
        arch: round(220 - 190 * place)
        for arch, place in zip(table.accuracies, cost_places, strict=True)
    }
    figures = "\n".join(
        _figure(table, word, agreement, hues) for word, agreement in agreements.items()
    )
    name = escape(table.name)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>Proxies on {name}</title>'
        f"<style>{_STYLE}</style><h1>Proxies on {name}</h1><p>Horizontal: a network's rank by the "
        f"proxy. Vertical: its rank by accuracy. Colour: {escape(band_name)}, from blue (least) "
        f"to orange (most); dots of one colour should rise from left to right.</p>"
        f"<main>{figures}</main></html>\n"
    )


def _figure(table: Table, word: str, agreement: Agreement, hues: Mapping[Architecture, int]) -> str:
    archs = list(agreement.scores)
    across = _places(list(agreement.scores.values()))
    upwards = _places([table.accuracies[arch] for arch in archs])
    dots = "".join(
        f'<circle cx="{8 + x * (_WIDTH - 16):.0f}" cy="{_HEIGHT - 8 - y * (_HEIGHT - 16):.0f}" '
        f'r="2.5" fill="hsl({hues[arch]} 70% 50%)" fill-opacity="0.7"/>'
        for arch, x, y in zip(archs, across, upwards, strict=True)
    )
    caption = (
        f"<b>{escape(word)}</b><br>Spearman {agreement.spearman.value:+.2f}, "
        f"in band {agreement.in_band.value:+.2f}"
    )
    return (
        f'<figure><svg width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(word)} against accuracy">{dots}</svg>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _places(values: Sequence[float]) -> list[float]:
    """Return each value's rank, from 0 to 1."""
    order = sorted(range(len(values)), key=values.__getitem__)
    places = [0.0] * len(values)
    for rank, index in enumerate(order):
        places[index] = rank / max(1, len(values) - 1)
    return places
