import base64
import gzip
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bneck import records
from bneck.derivation.report import write_report
from bneck.files import write_json
from bneck.quantities import Accuracy, Latency
from bneck.results import report
from bneck.results.classification import classification
from bneck.results.record import Record
from bneck.results.report_data import ReportData
from bneck.results.run import Run
from bneck.results.similarity import Similarity, Trait
from bneck.results.stage_result import Found, StageResult
from bneck.space import spaces
from tests.results import demo
from tests.search.journals import write_trials

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """The page's tags, its text outside scripts, and its JSON by the id of the picture."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.figures: dict[str, str] = {}
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            name = self.tags[-1][1].get("data-for")
            self.figures |= {name: data} if name else {}
        elif self.open[-1:] != ["style"]:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def finished() -> ReportData:
    return demo.finished(60)


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


def test_a_run_that_has_only_begun() -> None:
    page = Page(report.build(ReportData(name="run", state="running", plan={"target": 1.5})))
    assert "This derivation is still going. No network has been tried yet." in _plain(page.text)
    assert page.figures == {}


def test_each_page_of_a_process_has_the_digits_of_its_own_latencies(finished: ReportData) -> None:
    assert finished.outcome is not None
    ms = finished.outcome.target_ms
    for scale_ms, digits in ((ms, 3), (1000 * ms, 0), (ms, 3)):
        html = report.build(replace(finished, target_ms=scale_ms))
        assert f"<dt>Target</dt><dd>{ms:.{digits}f} <small>ms</small></dd>" in html


def test_a_search_for_several_targets(finished: ReportData) -> None:
    archs = [finished.steps[0].arch, finished.steps[-1].arch]
    found = tuple(
        Found(
            f"network {number}",
            arch,
            Accuracy(0.9),
            target_ms,
            Latency(0.2, 0.004),
            Latency(0.21, 0.003),
        )
        for number, arch, target_ms in zip((4, 9), archs, (0.25, 0.19), strict=True)
    )
    data = replace(
        finished, outcome=None, baselines=(), steps=(), target_ms=0.25,
        found=StageResult(found, "search", "by the proxy of the search"),
    )  # fmt: skip
    html = report.build(data)
    page = Page(html)
    assert "The search names a network for each of 2 targets." in page.text
    assert [one.get("class") for one in page.all("table")].count("network") == 2
    lines = json.loads(page.figures["search"])["layout"]["shapes"]
    assert [line["x0"] for line in lines[:2]] == [0.25, 0.19]
    one = replace(data, found=replace(data.found, networks=found[1:], stage="NetAdapt"))
    assert "The target of 0.190 ms is missed: 0.210 ± 0.003 ms measured." in _plain(
        Page(report.build(one)).text.replace("\xa0", " ")
    )


def test_what_was_trained_longer_is_marked(finished: ReportData) -> None:
    assert "trained longer" not in report.build(finished)
    tried = [replace(one, made_with={"steps": "100"}) for one in finished.records[4:7]]
    tried[1] = replace(tried[1], made_with={"steps": "900"}, rung=2)
    html = report.build(replace(finished, records=(*finished.records[:4], *tried)))
    assert "1 of them was trained longer" in _plain(Page(html).text)
    assert [html.count(f'<td class="n">{steps}</td>') > 0 for steps in (100, 900)] == [True] * 2


def test_longer_trainings_that_failed_are_counted_with_their_reasons(
    tmp_path: Path, digits_latency: Path
) -> None:
    """The networks themselves keep the accuracy of their first training."""
    space = spaces.build("v3-small", resolution_px=16, classes=10)
    with Run.open(tmp_path / "run", {"data": "digits", "promote": True}) as run:
        facts = {"name": "digits", "fingerprint": "f", "resolution_px": 16}
        write_json(run.images, facts | {"class_names": list("0123456789")})
        shutil.copy(digits_latency, run.latency)
        trials = (0, 0, None), (1, 0, "too few images"), (2, 0, None), (2, 1, "it diverged: NaN")
        write_trials(run.journal, space, *trials)
        text = _plain(Page(write_report(run).read_text()).text)
    assert "3 networks tried, 1 of them without a score." in text
    assert "1 longer training has failed." in text
    assert "trained longer at the end" not in text
    assert "1 × too few images" in text
    assert "1 × it diverged" in text


def test_a_derivation_for_several_targets(finished: ReportData) -> None:
    assert finished.outcome is not None
    faster = replace(finished.outcome, target_ms=0.15, measured=Latency(0.149, 0.002))
    data = replace(finished, others={"targets/0.15ms": faster})
    page = Page(report.build(data))
    shapes = {
        name: [line["x0"] for line in json.loads(page.figures[name])["layout"]["shapes"]]
        for name in ("compared", "search", "path")
    }
    assert shapes["compared"] == [finished.outcome.target_ms, 0.15]
    assert shapes["search"][:2] == [finished.target_ms, 0.15]
    assert shapes["path"] == [finished.target_ms]
    networks = [one["name"] for one in json.loads(page.figures["compared"])["data"]]
    assert networks[-2:] == ["derived", "derived for 0.15 ms"]
    # Each beside its own target, of which 0.149 ms are 99 %.
    assert re.search(r"derived for 0\.150 ms\s+0\.149 ± 0\.002\s+0\.99\s", page.text)


def test_a_training_alone(finished: ReportData) -> None:
    arch = finished.steps[0].arch
    data = ReportData(
        name="v3", state="finished", plan={},
        found=StageResult(
            (Found("v3", arch, Accuracy(0.953, 0.011)),), "training", "after training from scratch"
        ),
    )  # fmt: skip
    text = Page(report.build(data)).text.replace("\xa0", " ")
    assert "v3 is trained: 95.3 ± 1.1 % of the validation images are right." in _plain(text)
    assert "No network has been tried yet" not in text
    (one,) = data.found.networks
    on_test = replace(one, test_accuracy=Accuracy(0.94, 0.012))
    tested = replace(data, found=replace(data.found, networks=(on_test,)))
    assert report.sentences(tested)[0] == (
        "v3 is trained: 95.3 ± 1.1 % of the validation images, and 94.0 ± 1.2 % of the test images "
        "are right."
    )


def test_the_likeness(finished: ReportData) -> None:
    trait = Trait("h-swish", (4, 8), (0.0, 1.0), (0.0, 1.0), (0.5, 0.25), 0.0, 0.5, 97.5)
    fixed = replace(trait, name="blocks", percentile=None)
    found = Similarity("v3<small>", 0.21, 200, 88.5, 0.1, (0.2, 0.3), (trait, fixed))
    text = _plain(Page(report.build(replace(finished, likeness=found))).text)
    assert "nearer to v3<small> than 88 % of 200 random networks" in text
    assert "fixed by the space" in text


def test_one_failed_trial(finished: ReportData) -> None:
    failed = replace(finished.records[0], accuracy=None, reward=None, error="loss became NaN")
    data = ReportData(name="run", state="stopped", plan={}, records=(failed,))
    page = Page(report.build(data))
    assert "None of 1 network tried so far could be scored." in page.text
    assert "1 × loss became NaN" in _plain(page.text)
    assert page.figures == {}


def test_a_run_that_is_still_going(finished: ReportData) -> None:
    data = replace(finished, state="running", outcome=None, baselines=(), breakdown=None)
    page = Page(report.build(data))
    assert "This derivation is still going." in page.text
    assert "The run was still going then." in page.text
    assert set(page.figures) == {"search", "path", "calibration"}
    assert "Comparison" not in page.text


def test_an_outcome_that_is_not_measured_or_trained(finished: ReportData) -> None:
    assert finished.outcome is not None
    bare = replace(finished.outcome, measured=None, accuracy=None)
    page = Page(report.build(replace(finished, outcome=bare, breakdown=None)))
    assert "predicted only: not measured on the device" in page.text
    assert set(page.figures) == {"search", "path", "calibration"}
    text = _plain(page.text)
    assert "measured on the same device" not in text
    assert "Latencies were not measured." in text


def test_latencies_that_are_predicted_alone_are_shown(finished: ReportData) -> None:
    """As of a published table, or until a kit is back: the column of measured ones was empty."""
    assert finished.outcome is not None
    predicted = replace(finished.outcome, measured=None, predicted=Latency(0.21, 0.01))
    (one, *_) = finished.baselines
    bare = replace(one, measured=None, predicted=Latency(0.4, 0.02))
    data = replace(finished, outcome=predicted, baselines=(bare,), others={})
    text = _plain(Page(report.build(data)).text)
    assert "Predicted ms" in text.partition("Comparison with")[2].partition("The derived")[0]
    assert "0.400 ± 0.020" in text
    once = _plain(Page(report.build(replace(data, outcome=finished.outcome))).text)
    assert "0.400 ± 0.020 predicted" in once
    assert "measured on the same device" not in once
    assert "Latencies are of the same device, and measured unless they say otherwise." in once


def test_a_doubtful_calibration_is_a_sentence_below_its_figures(finished: ReportData) -> None:
    """In the column of the figures it was twelve short lines."""
    figures = {**(finished.calibration or {}), "doubt": "other programs used 1.9 cores"}
    page = report.build(replace(finished, calibration=figures))
    assert "<p>Do not rely on it: other programs used 1.9 cores.</p>" in page


def test_a_prediction_may_have_no_error(finished: ReportData) -> None:
    assert finished.outcome is not None
    bare = replace(finished.outcome, predicted=Latency(0.21))
    page = Page(report.build(replace(finished, outcome=bare)))
    assert "0.210 ms by the model" in _plain(page.text)


def test_spreads_of_measurements_are_called_standard_errors(finished: ReportData) -> None:
    text = _plain(Page(report.build(finished)).text)
    assert "Accuracy and latency carry their standard errors." in text
    assert "one standard deviation of the latency" not in text


@pytest.mark.parametrize("word", ["None", "nan", "Undefined", "inf "])
def test_nothing_unknown_is_printed(finished: ReportData, word: str) -> None:
    assert word not in Page(report.build(finished)).text


def test_two_thousand_trials_stay_small() -> None:
    assert len(report.build(demo.finished(2000)).encode()) < 6e6


def _plain(text: str) -> str:
    return " ".join(text.split())


def test_class_by_class(finished: ReportData) -> None:
    """Three cats, one taken for a dog; one dog: recalls of 2/3 and 1."""
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    found = classification(probabilities, np.array([0, 0, 0, 1]), ["<cat>", "dog"])
    html = report.build(replace(finished, classification=found))
    text = _plain(Page(html).text).replace("\xa0", " ")
    assert "Balanced accuracy, the mean over the classes, is 83.3 %" in text

    def row(name: str, *cells: str) -> str:
        shown = "".join(f'<td class="n">{cell}</td>' for cell in cells)
        return f'<tr><th scope="row">{name}</th>{shown}</tr>'

    assert row("&lt;cat&gt;", "3", "66.7 %", "100.0 %") in html
    assert row("dog", "1", "100.0 %", "50.0 %") in html
    assert row("&lt;cat&gt;", "2", "1") in html
    assert row("dog", "0", "1") in html


def test_a_network_of_one_answer_is_called_so_at_the_top(finished: ReportData) -> None:
    """75 % of the images are right, as three of four are cats; the notebook has the same words."""
    found = classification(np.eye(2)[[0, 0, 0, 0]], np.array([0, 0, 0, 1]), ["<cat>", "dog"])
    judged = replace(finished, classification=found)
    said = "It gives every image the class '<cat>', whatever is shown"
    assert said in _plain(Page(report.build(judged)).text)
    assert said in report.sentences(judged)[1]
    assert "It gives" not in report.sentences(finished)[1]


def test_the_ceiling_and_free_channels_are_explained_where_they_are_shown(
    finished: ReportData,
) -> None:
    ceiling = "The ceiling is the most latency that the search allows"
    free = "The last step makes layers wider again where that takes no time"
    text = _plain(Page(report.build(finished)).text)
    assert ceiling in text
    assert free not in text
    wider = replace(finished.steps[-1], move="free channels: s3.b1.expand 72->80")
    other = replace(finished, steps=(*finished.steps[:-1], wider), ceiling_ms=None)
    text = _plain(Page(report.build(other)).text)
    assert ceiling not in text
    assert free in text


def test_networks_that_no_trial_proposed_are_listed(tmp_path: Path, digits_latency: Path) -> None:
    """The one that NetAdapt begins with is ringed, and the most accurate is on the front."""
    space = spaces.build("v3-small", resolution_px=16, classes=10)
    wide, given = (space.decode(space.sample(seed)) for seed in (8, 9))
    with Run.open(tmp_path / "run", {"data": "digits", "promote": True}) as run:
        facts = {"name": "digits", "fingerprint": "f", "resolution_px": 16}
        write_json(run.images, facts | {"class_names": list("0123456789")})
        shutil.copy(digits_latency, run.latency)
        write_trials(run.journal, space, (0, 0, None), (1, 0, None), (0, 1, None))
        for share, rung in ((0.4, 0), (0.6, 1)):
            records.append(run.widened, Record(0, wide, share, 2.0, share, None, 3.0, {}, rung))
        records.append(run.pretrained, Record(0, given, None, 1.5, None, "NaN: loss", 3.0))
        records.write(run.seed, wide)
        html = write_report(run).read_text()
    page = Page(html)
    text = _plain(page.text)
    assert "2 networks tried." in text
    assert "The pretrained network itself competed with them." in text
    assert "1 more is the network of a faster target, made wider." in text
    assert "1 × NaN" in text
    traces = {one["name"]: one for one in json.loads(page.figures["search"])["data"]}
    assert [one.partition("<br>")[0] for one in traces["Pareto front"]["text"]] == [
        "<b>network 1</b>",
        "<b>widened network</b>",
    ]
    assert traces["Pareto front"]["y"] == [50, 60]
    assert traces["seed"]["x"] == [2.0]
    rows = [
        html.count(f'<th scope="row" class="n">{name}</th>') for name in ("pretrained", "widened")
    ]
    assert rows == [1, 2]  # one is on the front too
