"""Numbers that the report's pictures and tables work out themselves, in closed form."""

from dataclasses import replace

import pytest

from bneck.results import interactive_figures
from bneck.results.record import Record
from bneck.results.report_data import ReportData

DATA = ReportData(name="digits", state="finished", plan={})


def test_along_a_curve_of_equal_reward_accuracy_pays_for_latency(record: Record) -> None:
    """ACC * LAT^w is the same at all of its points, of which one is the tangent's."""
    figure = interactive_figures.search(
        replace(DATA, records=(record,), tangents=((2.0, 0.8, -0.15),))
    )
    (curve,) = [one for one in figure.data if one.name == "equal reward, w = -0.150"]
    rewards = [y / 100 * x**-0.15 for x, y in zip(curve.x, curve.y, strict=True)]
    assert rewards == pytest.approx([0.8 * 2.0**-0.15] * len(rewards))
    assert (min(curve.x), max(curve.x)) == (pytest.approx(2.0 / 1.3), pytest.approx(2.0 * 1.3))
    assert list(curve.y) == sorted(curve.y)


def test_a_prediction_that_is_too_high_is_above_zero() -> None:
    (points,) = interactive_figures.calibration([(1.1, 1.0), (1.9, 2.0)]).data
    assert list(points.x) == [1.0, 2.0]
    assert list(points.y) == pytest.approx([10.0, -5.0])


def test_networks_of_some_microseconds_are_told_apart(record: Record) -> None:
    """As those of the runtime ``macs``, and of small inputs."""
    faster, slower = (replace(record, latency_ms=ms) for ms in (0.00185123, 0.00186456))
    drawn = interactive_figures.search(
        replace(DATA, records=(faster, replace(slower, number=8)))
    ).data
    assert [list(one.x) for one in drawn[:2]] == [[0.0018646], [0.0018512]]
    assert "%{x:.4g} ms" in drawn[0].hovertemplate
    held_out = interactive_figures.calibration([(0.00185, 0.00186456)]).data[0]
    assert list(held_out.x) == [0.0018646]
