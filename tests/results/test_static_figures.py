"""Pictures for papers: every number is where the records have it."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from bneck.quantities import Accuracy, Latency
from bneck.results import static_figures
from bneck.results.record import Baseline, Outcome, Record, Step


def points(axes: Axes) -> list[list[float]]:
    """Each point with bars: x, y, and how far the bars reach, of x and then of y."""
    found = []
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer):
            line, _, bars = container
            reaches = [np.ptp(bar.get_segments()[0], axis=0).max() / 2 for bar in bars]
            place = [] if line is None else line.get_xydata()[0].tolist()
            found.append([*place, *reaches])
    return found


def test_networks_stand_at_their_measured_latency_and_accuracy(
    outcome: Outcome, baseline: Baseline
) -> None:
    other = replace(
        outcome, target_ms=1.2, measured=Latency(1.2, 0.01), accuracy=Accuracy(0.9, 0.009)
    )
    (axes,) = static_figures.outcome(outcome, [baseline], [other]).axes
    assert points(axes) == [
        pytest.approx([1.88, 94.0, 0.02, 0.8]),
        pytest.approx([1.2, 90.0, 0.01, 0.9]),
        pytest.approx([1.48, 93.0, 0.03, 0.8]),
    ]


def test_compared_networks_have_a_row_each_with_what_is_known() -> None:
    latencies = [Latency(2.0, 0.1), None, Latency(3.0)]
    accuracies = [Accuracy(0.75, 0.02), Accuracy(0.5), None]
    left, right = static_figures.compared(["a", "$b", "c"], latencies, accuracies).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["a", r"\$b", "c"]
    assert [(bar.get_y() + 0.3, bar.get_width()) for bar in left.patches] == [
        pytest.approx((0, 2.0)),
        pytest.approx((2, 3.0)),
    ]
    assert points(left) == [pytest.approx([0.1])]
    assert points(right) == [pytest.approx([75.0, 0, 2.0]), pytest.approx([50.0, 1, 0])]
    assert left.get_ylim() == (2.5, -0.5)  # the first on top


def test_a_family_has_the_mean_and_deviation_of_its_trainings() -> None:
    lines = {"ours": [(2.0, [0.7, 0.72, 0.77]), (1.0, [0.5])], "theirs": [(1.5, [0.6, 0.64])]}
    (axes,) = static_figures.family(lines).axes
    ours, _ = axes.containers
    assert ours[0].get_xydata().tolist() == [
        pytest.approx([1.0, 50.0]),
        pytest.approx([2.0, 73.0]),
    ]
    # Squares about 73: 9 + 1 + 16 = 26, over two degrees of freedom.
    heights = [np.ptp(bar[:, 1]) / 2 for bar in ours[2][0].get_segments()]
    assert heights == pytest.approx([0.0, 13**0.5])
    assert points(axes)[1] == pytest.approx([1.5, 62.0, 8**0.5])


def test_a_front_rises_where_the_slower_network_is(record: Record) -> None:
    """Until there, the faster one is the best that there is."""
    found = [
        replace(record, number=number, latency_ms=ms, accuracy=accuracy)
        for number, (ms, accuracy) in enumerate([(2.0, 0.7), (1.0, 0.5), (1.5, 0.4)])
    ]
    (axes,) = static_figures.search(found, targets_ms=[1.8]).axes
    step, target = axes.get_lines()
    assert step.get_drawstyle() == "steps-post"
    assert step.get_xydata().tolist() == [pytest.approx([1.0, 50.0]), pytest.approx([2.0, 70.0])]
    assert list(target.get_xdata()) == [1.8, 1.8]
    (dots,) = axes.collections
    assert len(dots.get_offsets()) == 3


def test_a_path_shows_what_was_tried_and_what_was_taken(step: Step) -> None:
    (axes,) = static_figures.path([step]).axes
    (dots,), (taken,) = axes.collections, axes.get_lines()
    assert dots.get_offsets().tolist() == [pytest.approx([1.93, 80.0])]
    assert taken.get_xydata().tolist() == [pytest.approx([1.93, 80.0])]
