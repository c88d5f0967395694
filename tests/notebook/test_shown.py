"""Results that show themselves, as HTML and as text."""

from dataclasses import replace
from pathlib import Path

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
