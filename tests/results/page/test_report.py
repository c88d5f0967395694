"""The page of a finished run: its words, pictures and tables, and that nothing in it does harm."""

import base64
import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bneck import records
from bneck.derivation.report import write_report
from bneck.quantities import Latency
from bneck.results.classification import classification
from bneck.results.page import report
from bneck.results.page.report_data import ReportData
from bneck.results.run import Run
from bneck.results.similarity import Similarity, Trait
from tests.results import demo
from tests.results.parsed_page import Page, plain

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"


def test_a_finished_run(finished: ReportData) -> None:
    html = report.build(finished)
    page = Page(html)
    assert finished.outcome is not None
    assert "is met" in page.text
    assert f"{finished.outcome.target_ms:.3f} ms" in page.text.replace("\xa0", " ")
    assert "mobilenet_v3_small, trained and measured the same way" in page.text
    assert set(page.figures) == {"compared", "search", "path", "calibration"}
    assert finished.sessions[0].command in page.text
    for step in finished.steps[1:]:
        assert step.move.replace("->", "→") in page.text
    for part, _ in finished.outcome.arch.block_parts():
        assert f">{part.path}<" in html


def test_nothing_is_loaded_from_elsewhere(finished: ReportData) -> None:
    page = Page(report.build(finished))
    for tag, attributes in page.tags:
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#"), (tag, attributes)


def test_the_library_inside_is_plotly(finished: ReportData) -> None:
    html = report.build(finished)
    packed = re.search(r'id="library">([^<]+)<', html)
    assert packed is not None
    assert "plotly.js v" in gzip.decompress(base64.b64decode(packed[1])).decode()[:200]


def test_pictures_hold_the_numbers(finished: ReportData) -> None:
    figures = Page(report.build(finished)).figures
    scored = [record for record in finished.records if record.accuracy is not None]
    search = json.loads(figures["search"])["data"]
    dots, front, seed = search
    assert len(dots["x"]) + len(front["x"]) == len(scored)
    assert front["y"] == sorted(front["y"])
    assert "k3" in dots["text"][0] or "k5" in dots["text"][0] or "k7" in dots["text"][0]
    assert len(seed["x"]) == 1
    shares = [y / 100 for y in front["y"]]
    stderrs = [100 * (share * (1 - share) / 288) ** 0.5 for share in shares]
    assert front["error_y"]["array"] == pytest.approx(stderrs, rel=0.01)
    assert front["error_x"]["array"] == pytest.approx([0.02 * ms for ms in front["x"]], rel=0.01)
    bars = json.loads(figures["compared"])["data"][-1]["error_y"]["array"]
    assert bars == pytest.approx([0.36])


def test_screen_readers_find_their_way(finished: ReportData) -> None:
    page = Page(report.build(finished))
    assert page.all("html")[0]["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert len(page.all(landmark)) == 1
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("scope" in head for head in page.all("th"))
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    for section in page.all("section"):
        assert section["aria-labelledby"] in ids
    for link in page.all("a"):
        assert (link["href"] or "")[1:] in ids
    charts = [div for div in page.all("div") if div.get("class") == "chart"]
    assert len(charts) == 4
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in charts)


def test_every_string_is_escaped(finished: ReportData) -> None:
    failed = replace(finished.records[0], accuracy=None, reward=None, error=HOSTILE)
    first, second = finished.steps[1], finished.steps[2]
    hostile = replace(
        finished,
        name=HOSTILE,
        state=HOSTILE,
        plan={"data": HOSTILE, HOSTILE: [HOSTILE]},
        sessions=(replace(finished.sessions[0], command=HOSTILE, device=HOSTILE),),
        records=(failed, *finished.records[1:]),
        steps=(finished.steps[0], replace(first, move=HOSTILE), second),
        baselines=(replace(finished.baselines[0], name=HOSTILE),),
        breakdown={HOSTILE: 0.1, **(finished.breakdown or {})},
        calibration={HOSTILE: HOSTILE},
        class_names=(HOSTILE, "cat"),
    )
    page = Page(report.build(hostile))
    assert page.all("img") == []
    assert page.text.count(HOSTILE) >= 10
    for figure in page.figures.values():
        assert "<" not in figure


def test_names_do_not_turn_the_pages_writing_around(finished: ReportData) -> None:
    named = replace(finished, name="a\u202eb", class_names=("gpj.\u202etac", "dog\x1b[2J"))
    page = report.build(named)
    assert r"gpj.\u202etac, dog\x1b[2J" in page
    assert not {"\u202e", "\x1b"} & set(page)


def test_names_that_are_no_unicode_are_spelt_out(tmp_path: Path) -> None:
    """Those of somebody else's run: JSON can hold them, and a page cannot."""
    with Run.open(tmp_path / "run", {"data": "digits", "target": "0.2"}) as run:
        about = {"name": "digits", "fingerprint": "0", "class_names": ["n\udcff", "m"]}
        run.images.write_text(json.dumps(about))
        records.write(run.result, demo.finished(20).outcome)
    write_report(run)
    assert r"n\udcff, m" in run.report.read_text(encoding="utf-8")
    assert r"n\\udcff, m" in run.card.read_text(encoding="utf-8")


def test_each_page_of_a_process_has_the_digits_of_its_own_latencies(finished: ReportData) -> None:
    assert finished.outcome is not None
    ms = finished.outcome.target_ms
    for scale_ms, digits in ((ms, 3), (1000 * ms, 0), (ms, 3)):
        html = report.build(replace(finished, target_ms=scale_ms))
        assert f"<dt>Target</dt><dd>{ms:.{digits}f} <small>ms</small></dd>" in html


def test_the_likeness(finished: ReportData) -> None:
    trait = Trait("h-swish", (4, 8), (0.0, 1.0), (0.0, 1.0), (0.5, 0.25), 0.0, 0.5, 97.5)
    fixed = replace(trait, name="blocks", percentile=None)
    found = Similarity("v3<small>", 0.21, 200, 88.5, 0.1, (0.2, 0.3), (trait, fixed))
    text = plain(Page(report.build(replace(finished, likeness=found))).text)
    assert "nearer to v3<small> than 88 % of 200 random networks" in text
    assert "fixed by the space" in text


def test_a_doubtful_calibration_is_a_sentence_below_its_figures(finished: ReportData) -> None:
    """In the column of the figures it was twelve short lines."""
    figures = {**(finished.calibration or {}), "doubt": "other programs used 1.9 cores"}
    page = report.build(replace(finished, calibration=figures))
    assert "<p>Do not rely on it: other programs used 1.9 cores.</p>" in page


def test_a_prediction_may_have_no_error(finished: ReportData) -> None:
    assert finished.outcome is not None
    bare = replace(finished.outcome, predicted=Latency(0.21))
    page = Page(report.build(replace(finished, outcome=bare)))
    assert "0.210 ms by the model" in plain(page.text)


def test_spreads_of_measurements_are_called_standard_errors(finished: ReportData) -> None:
    text = plain(Page(report.build(finished)).text)
    assert "Accuracy and latency carry their standard errors." in text
    assert "one standard deviation of the latency" not in text


@pytest.mark.parametrize("word", ["None", "nan", "Undefined", "inf "])
def test_nothing_unknown_is_printed(finished: ReportData, word: str) -> None:
    assert word not in Page(report.build(finished)).text


def test_two_thousand_trials_stay_small() -> None:
    assert len(report.build(demo.finished(2000)).encode()) < 6e6


def test_class_by_class(finished: ReportData) -> None:
    """Three cats, one taken for a dog; one dog: recalls of 2/3 and 1."""
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    found = classification(probabilities, np.array([0, 0, 0, 1]), ["<cat>", "dog"])
    html = report.build(replace(finished, classification=found))
    text = plain(Page(html).text).replace("\xa0", " ")
    assert (
        "On 4 images not trained on. Balanced accuracy, the mean over the classes, is 83.3 %"
        in text
    )

    def row(name: str, *cells: str) -> str:
        shown = "".join(f'<td class="n">{cell}</td>' for cell in cells)
        return f'<tr><th scope="row">{name}</th>{shown}</tr>'

    assert row("&lt;cat&gt;", "3", "66.7 %", "100.0 %") in html
    assert row("dog", "1", "100.0 %", "50.0 %") in html
    assert row("&lt;cat&gt;", "2", "1") in html
    assert row("dog", "0", "1") in html
    alone = classification(probabilities[:1], np.array([0]), ["<cat>", "dog"])
    page = Page(report.build(replace(finished, classification=alone)))
    assert "On 1 image not trained on. Balanced" in plain(page.text)


def test_a_network_of_one_answer_is_called_so_at_the_top(finished: ReportData) -> None:
    """75 % of the images are right, as three of four are cats; the notebook has the same words."""
    found = classification(np.eye(2)[[0, 0, 0, 0]], np.array([0, 0, 0, 1]), ["<cat>", "dog"])
    judged = replace(finished, classification=found)
    said = "It gives every image the class '<cat>', whatever is shown"
    assert said in plain(Page(report.build(judged)).text)
    assert said in report.sentences(judged)[1]
    assert "It gives" not in report.sentences(finished)[1]


def test_the_ceiling_and_free_channels_are_explained_where_they_are_shown(
    finished: ReportData,
) -> None:
    ceiling = "The ceiling is the most latency that the search allows"
    free = "The last step makes layers wider again where that takes no time"
    text = plain(Page(report.build(finished)).text)
    assert ceiling in text
    assert free not in text
    wider = replace(finished.steps[-1], move="free channels: s3.b1.expand 72->80")
    other = replace(finished, steps=(*finished.steps[:-1], wider), ceiling_ms=None)
    text = plain(Page(report.build(other)).text)
    assert ceiling not in text
    assert free in text
