"""Results that show themselves, as HTML and as text."""

from dataclasses import replace
from pathlib import Path

import pytest

import bneck
from bneck.notebook import shown
from bneck.quantities import Latency
from tests.results import demo


def test_results_show_themselves(folder: Path) -> None:
    html = bneck.open_run(folder)._repr_html_()
    assert "is met" in html
    assert "<td>mobilenet_v3_small</td>" in html
    assert "<svg" in html
    assert "<b>run</b>" not in html
    assert "&lt;b&gt;run&lt;/b&gt;" in html


def test_networks_for_other_targets_stand_beside_it() -> None:
    data = demo.finished(20)
    assert data.outcome is not None
    other = replace(data.outcome, target_ms=0.25)
    html = shown.page(replace(data, others={"targets/0.25ms": other}), Path("report.html"))
    assert "<td>derived for 0.25 ms</td>" in html
    assert "<!-- derived for 0.25 ms -->" in html  # beside the letters' outlines


def test_the_picture_of_what_was_not_measured_is_the_search() -> None:
    data = demo.finished(20)
    assert data.outcome is not None
    predicted = replace(data, outcome=replace(data.outcome, measured=None))
    drawn = [shown.page(one, Path("report.html")) for one in (data, predicted)]
    assert ["measured latency" in html for html in drawn] == [True, False]
    assert "proxy accuracy" in drawn[1]


def test_latencies_that_are_predicted_alone_are_in_the_table() -> None:
    data = demo.finished(20)
    bare = replace(data.baselines[0], measured=None, predicted=Latency(0.4, 0.02))
    page = shown.page(replace(data, baselines=(bare,)), Path("report.html"))
    assert "<td>0.400 ± 0.020 predicted</td>" in page


def test_frames_and_tables_have_each_number_in_its_column() -> None:
    pytest.importorskip("pandas")
    data = demo.finished(20)
    assert data.outcome is not None
    _, *frame = shown.steps(data.steps).itertuples()
    tried = [proposal for step in data.steps for proposal in step.proposals]
    for row, one in zip(frame, tried, strict=True):
        assert (row.latency_ms, row.saved_ms, row.move) == (one.latency_ms, one.saved_ms, one.move)
        if one.accuracy is not None:
            assert (row.accuracy, row.accuracy_stderr) == (one.accuracy.value, one.accuracy.stderr)
    counts = replace(data.outcome, params=1_230_000, macs=45_600_000)
    html = shown.page(replace(data, outcome=counts), Path("report.html"))
    assert "<td>93.1 ± 0.4 %</td><td>1.23 M</td><td>45.6 M</td>" in html


def test_results_show_themselves_as_text(folder: Path) -> None:
    lines = repr(bneck.open_run(folder)).splitlines()
    assert lines[0] == str(folder)
    assert "The target of 0.2" in lines[1]


def test_a_latency_model_shows_itself(tmp_path: Path) -> None:
    model = bneck.calibrate(
        tmp_path / "macs.json", runtime="macs", resolution_px=32, classes=10, minutes=1e-6
    )
    html = model._repr_html_()
    assert html.startswith("<p><b>")
    assert f"on {model.report.held_out} networks it had not seen" in html
    assert (tmp_path / "macs.json").exists()
