"""A likeness in words for a terminal, and as a picture: SVG, one strip a trait."""

from html import escape

from bneck.results.similarity import Likeness, Trait
from bneck.results.units import aligned, decimals

BINS, WIDTH, STRIP, LEFT, BAR = 40, 860, 92, 190, 430
COLOURS = ("#0b6e99", "#c0492b", "#8a8f98")
"""The network, the published one, the mean of the random ones: readable on white and on black."""


def as_text(found: Likeness) -> str:
    """The traits as a table: profiles by output stride, distance and percentile."""
    rows = [("trait", "network", found.published, "random", "distance", "of random", "percentile")]
    for trait in found.traits:
        rows.append(
            (
                trait.name,
                _numbers(trait.network),
                _numbers(trait.published),
                _numbers(trait.random_mean),
                f"{trait.distance:.2f}",
                f"{trait.random_distance:.2f}",
                "fixed" if trait.percentile is None else f"{trait.percentile:.0f}",
            )
        )
    strides = "/".join(map(str, found.traits[0].strides))
    ms = f"{found.latency_ms:.{decimals(found.latency_ms)}f}"
    return (
        f"{aligned(rows)}\n"
        f"columns 2 to 4: by output stride {strides}\n"
        f"all free traits together: nearer to {found.published} than {found.percentile:.1f} % of "
        f"{found.networks} random networks at {ms} ms predicted"
    )


def as_svg(found: Likeness) -> str:
    """The same as a picture: where the network lies among the random ones, and its profiles."""
    height = 80 + STRIP * len(found.traits) + 90
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#50555c">',
        f'<text x="16" y="26" font-size="16">Likeness to {escape(found.published)}: nearer than '
        f"{found.percentile:.1f} % of {found.networks} random networks as fast</text>",
        _legend(found),
    ]
    for row, trait in enumerate(found.traits):
        parts.append(_strip(trait, 80 + STRIP * row))
    parts.append(_histogram(found, height - 80))
    return "\n".join([*parts, "</svg>\n"])


def _legend(found: Likeness) -> str:
    names = ("network", found.published, f"mean of {found.networks} random networks")
    return "".join(
        f'<circle cx="{24 + 220 * i}" cy="48" r="5" fill="{colour}"/>'
        f'<text x="{34 + 220 * i}" y="52">{escape(name)}</text>'
        for i, (name, colour) in enumerate(zip(names, COLOURS, strict=True))
    )


def _strip(trait: Trait, top: int) -> str:
    """Profiles over depth as three lines."""
    lines = (trait.random_mean, trait.published, trait.network)
    low, high = min(map(min, lines)), max(map(max, lines))
    span = high - low or 1.0
    step = BAR / max(1, len(trait.strides) - 1)
    said = "fixed by the space" if trait.percentile is None else f"{trait.percentile:.0f} %"
    parts = [
        f'<text x="16" y="{top + 34}">{escape(trait.name)}</text>',
        f'<text x="{LEFT + BAR + 40}" y="{top + 34}" font-size="15">{said}</text>',
    ]
    for values, colour in zip(lines, reversed(COLOURS), strict=True):
        points = [
            (LEFT + step * i, top + 60 - 50 * (value - low) / span)
            for i, value in enumerate(values)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    parts += [
        f'<text x="{LEFT + step * i:.1f}" y="{top + 78}" font-size="10" text-anchor="middle">'
        f"1/{stride}</text>"
        for i, stride in enumerate(trait.strides)
    ]
    return "\n".join(parts)


def _histogram(found: Likeness, top: int) -> str:
    """The random networks' distances of all traits together, and the network's own."""
    low = min(found.random[0], found.distance)
    span = max(found.random[-1], found.distance) - low or 1.0
    counts = [0] * BINS
    for value in found.random:
        counts[min(BINS - 1, int(BINS * (value - low) / span))] += 1
    width, most = BAR / BINS, max(counts)
    bars = [
        f'<rect x="{LEFT + width * i:.1f}" y="{top + 50 - 50 * count / most:.1f}" '
        f'width="{width - 1:.1f}" height="{50 * count / most:.1f}" fill="{COLOURS[2]}"/>'
        for i, count in enumerate(counts)
    ]
    at = LEFT + BAR * (found.distance - low) / span
    line = f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top - 4}" y2="{top + 52}" '
    label = f'<text x="16" y="{top + 34}">distance, all traits</text>'
    return "\n".join([label, *bars, f'{line}stroke="{COLOURS[0]}" stroke-width="3"/>'])


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.3g}" for value in values)
