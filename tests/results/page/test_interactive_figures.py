"""Numbers that the report's pictures and tables work out themselves, in closed form."""

from dataclasses import replace

import pytest

from bneck.results.page import interactive_figures
from bneck.results.page.report_data import ReportData
from bneck.results.record import Baseline, Outcome, Record, Step
from bneck.space import presets

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


def test_networks_stand_at_their_measured_latency_and_accuracy(
    outcome: Outcome, baseline: Baseline
) -> None:
    unmeasured = replace(baseline, measured=None)
    figure = interactive_figures.compared(
        replace(DATA, outcome=outcome, baselines=(unmeasured, baseline))
    )
    found = [(*p.x, *p.y, *p.error_x.array, *p.error_y.array) for p in figure.data]
    assert found == [
        pytest.approx((1.88, 94.0, 0.02, 0.8)),
        pytest.approx((1.48, 93.0, 0.03, 0.8)),
    ]
    assert [line.x0 for line in figure.layout.shapes] == [1.5]


def test_the_front_rises_where_the_slower_network_is_and_the_seed_is_ringed(
    record: Record,
) -> None:
    """Until there, the faster one is the best that there is."""
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=10)
    points = [(2.0, 0.7, record.arch), (1.0, 0.5, record.arch), (1.5, 0.4, arch)]
    tried = [
        replace(record, number=number, latency_ms=ms, accuracy=accuracy, arch=of)
        for number, (ms, accuracy, of) in enumerate(points)
    ]
    figure = interactive_figures.search(replace(DATA, records=tuple(tried), seed=arch))
    dots, best, seed = figure.data
    assert [(list(one.x), list(one.y)) for one in (dots, best, seed)] == [
        ([1.5], [40.0]),
        ([1.0, 2.0], [50.0, 70.0]),
        ([1.5], [40.0]),
    ]
    assert best.line.shape == "hv"


def test_a_path_shows_what_was_tried_and_what_was_taken(step: Step) -> None:
    tried, taken = interactive_figures.path(replace(DATA, steps=(step,))).data
    assert [(list(one.x), list(one.y)) for one in (tried, taken)] == [([1.93], [80.0])] * 2


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
