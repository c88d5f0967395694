"""The picture of error against calibration minutes, from the JSON of benchmarks/latency.py.

python benchmarks/latency_curve.py FIGURES.json docs/pictures/latency_minutes.svg
"""

import argparse
import math
import sys
from pathlib import Path

from bneck.cli import exit_code_of, new_file
from bneck.errors import UsageError
from bneck.files import read_json, write_whole

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 560, 320, 60, 50, 20
COLOURS = ("#1f6feb", "#d1242f", "#1a7f37")


def curves_in(figures: Path) -> dict[str, dict[float, float]]:
    """Mean error in % by minutes, for each space.

    Raises:
        UsageError: the file is none of benchmarks/latency.py's, or has no curves yet.
    """
    try:
        curves = {
            name.removeprefix("curve "): {float(minutes): error for minutes, error in curve.items()}
            for name, curve in read_json(figures).items()
            if name.startswith("curve ") and curve
        }
        if curves and all(
            min(curve) >= 1 and min(curve.values()) >= 0 for curve in curves.values()
        ):
            return curves
    except (AttributeError, TypeError, ValueError):  # of values that are no curves
        pass
    raise UsageError(f"{figures} holds no curves: benchmarks/latency.py writes them")


def main() -> None:
    """Draw one line a space; minutes are spaced by their logarithm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("picture", type=new_file)
    asked = parser.parse_args()
    curves = curves_in(asked.figures)
    highest = 1.1 * max(error for curve in curves.values() for error in curve.values())

    def place(minutes: float, error: float) -> tuple[float, float]:
        right = (WIDTH - LEFT - 120) * math.log(minutes) / math.log(10)
        up = (HEIGHT - BOTTOM - TOP) * error / highest
        return LEFT + right, HEIGHT - BOTTOM - up

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for minutes in (1, 2, 5, 10):
        x, y = place(minutes, 0)
        parts.append(f'<text x="{x:.0f}" y="{y + 18:.0f}" text-anchor="middle">{minutes}</text>')
    for error in range(math.ceil(highest)):
        x, y = place(1, error)
        end, _ = place(10, error)
        parts.append(f'<path d="M{x:.0f} {y:.0f}H{end:.0f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 8:.0f}" y="{y + 4:.0f}" text-anchor="end">{error} %</text>')
    lowest = math.inf
    by_end = sorted(curves.items(), key=lambda item: item[1][max(item[1])])
    for (name, curve), colour in zip(by_end, COLOURS, strict=False):
        points = [place(minutes, error) for minutes, error in sorted(curve.items())]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = points[-1]
        lowest = min(lowest - 15, y + 4)  # names do not touch
        parts.append(f'<text x="{x + 8:.0f}" y="{lowest:.0f}" fill="{colour}">{name}</text>')
    middle = place(math.sqrt(10), 0)[0]
    parts.append(
        f'<text x="{middle:.0f}" y="{HEIGHT - 10}" text-anchor="middle">'
        "minutes of calibration; mean error on held-out networks</text></svg>"
    )
    write_whole(asked.picture, "\n".join(parts) + "\n")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
