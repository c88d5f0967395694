"""The page of a run that has come so far: begun, searched, trained, or not measured."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

from bneck import records
from bneck.derivation.report import write_report
from bneck.files import write_json
from bneck.quantities import Accuracy, Latency
from bneck.results.page import report
from bneck.results.page.report import sentences
from bneck.results.page.report_data import ReportData
from bneck.results.record import Record
from bneck.results.run import Run
from bneck.results.stage_result import Found, StageResult
from bneck.space import spaces
from tests.results.parsed_page import Page, plain
from tests.search.journals import write_trials


def test_a_run_that_has_only_begun() -> None:
    page = Page(report.build(ReportData(name="run", state="running", plan={"target": 1.5})))
    assert "This derivation is still going. No network has been tried yet." in plain(page.text)
    assert page.figures == {}


def test_only_a_derivation_is_called_one(finished: ReportData) -> None:
    """Not a search alone, nor the stages of a reproduction, which have reports of their own."""
    (session,) = finished.sessions
    calls = ("bneck derive --out r", "bneck.derive()", "bneck search --out r", "stage search-paper")
    titles = []
    for command in calls:
        begun = replace(session, command=command)
        titles.append(sentences(ReportData("run", "stopped", {}, sessions=(begun,)))[0])
    resumed = "was stopped; run the same command to resume it."
    words = ("derivation", "derivation", "run", "run")
    assert titles == [f"This {word} {resumed}" for word in words]


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
    assert "The target of 0.190 ms is missed: 0.210 ± 0.003 ms measured." in plain(
        Page(report.build(one)).text.replace("\xa0", " ")
    )


def test_what_was_trained_longer_is_marked(finished: ReportData) -> None:
    assert "trained longer" not in report.build(finished)
    tried = [replace(one, made_with={"steps": "100"}) for one in finished.records[4:7]]
    tried[1] = replace(tried[1], made_with={"steps": "900"}, rung=2)
    html = report.build(replace(finished, records=(*finished.records[:4], *tried)))
    assert "1 of them was trained longer" in plain(Page(html).text)
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
        text = plain(Page(write_report(run).read_text()).text)
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
    assert "v3 is trained: 95.3 ± 1.1 % of the validation images are right." in plain(text)
    assert "No network has been tried yet" not in text
    (one,) = data.found.networks
    on_test = replace(one, test_accuracy=Accuracy(0.94, 0.012))
    tested = replace(data, found=replace(data.found, networks=(on_test,)))
    assert report.sentences(tested)[0] == (
        "v3 is trained: 95.3 ± 1.1 % of the validation images, and 94.0 ± 1.2 % of the test images "
        "are right."
    )


def test_one_failed_trial(finished: ReportData) -> None:
    failed = replace(finished.records[0], accuracy=None, reward=None, error="loss became NaN")
    data = ReportData(name="run", state="stopped", plan={}, records=(failed,))
    page = Page(report.build(data))
    assert "None of 1 network tried so far could be scored." in page.text
    assert "1 × loss became NaN" in plain(page.text)
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
    text = plain(page.text)
    assert "measured on the same device" not in text
    assert "Latencies were not measured." in text


def test_latencies_that_are_predicted_alone_are_shown(finished: ReportData) -> None:
    """As of a published table, or until a kit is back: the column of measured ones was empty."""
    assert finished.outcome is not None
    predicted = replace(finished.outcome, measured=None, predicted=Latency(0.21, 0.01))
    (one, *_) = finished.baselines
    bare = replace(one, measured=None, predicted=Latency(0.4, 0.02))
    data = replace(finished, outcome=predicted, baselines=(bare,), others={})
    text = plain(Page(report.build(data)).text)
    assert "Predicted ms" in text.partition("Comparison with")[2].partition("The derived")[0]
    assert "0.400 ± 0.020" in text
    once = plain(Page(report.build(replace(data, outcome=finished.outcome))).text)
    assert "0.400 ± 0.020 predicted" in once
    assert "measured on the same device" not in once
    assert "Latencies are of the same device, and measured unless they say otherwise." in once


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
    text = plain(page.text)
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
