"""The numbers in a report's tables are those of the records that they are of."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from bneck.quantities import Accuracy, Latency
from bneck.results.page import report
from bneck.results.page.report_data import ReportData
from bneck.results.pareto import front
from bneck.results.similarity import Similarity, Trait
from bneck.results.stage_result import Found, StageResult
from bneck.space import presets
from tests.results import demo


class Tables(HTMLParser):
    """The cells' texts of each table, row by row, by the table's caption."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self._caption: list[str] = []
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "caption":
            self._caption, self._open = [], tag
        elif tag == "tr" and self._caption:
            self.tables.setdefault("".join(self._caption), []).append([])
        elif tag in ("td", "th") and self._caption:
            self.tables["".join(self._caption)][-1].append("")
            self._open = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open:
            self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "caption":
            self._caption.append(data)
        elif self._open:
            self.tables["".join(self._caption)][-1][-1] += data.strip()


@pytest.fixture(scope="module")
def data() -> ReportData:
    return demo.finished(30)


@pytest.fixture(scope="module")
def tables(data: ReportData) -> dict[str, list[list[str]]]:
    return Tables(report.build(data)).tables


def number(text: str) -> float:
    """The number that a cell begins with, and ends with a unit or a spread."""
    return float(text.replace("\N{MINUS SIGN}", "-").split(" ")[0].replace("%", ""))


def counted(text: str) -> float:
    """What a cell counts in thousands or millions."""
    value, unit = text.split(" ")
    return float(value) * {"k": 1e3, "M": 1e6}[unit]


def test_the_figures_at_the_top_are_those_of_the_outcome(data: ReportData) -> None:
    assert data.outcome is not None
    out = replace(data.outcome, predicted=Latency(0.3, 0.04), measured=Latency(0.2, 0.005))
    page = report.build(replace(data, outcome=replace(out, params=1_230_000, macs=45_600_000)))
    found = re.findall(
        r"<dt>([A-Z][a-z-]+)</dt>\s*<dd>(.*?)</dd>\s*<dd class=.how.>(.*?)</dd>", page
    )
    shown = {name: (figure, how) for name, figure, how in found}
    assert shown["Predicted"] == ("0.300 <small>ms</small>", "±&nbsp;0.040, by the model")
    assert shown["Measured"] == ("0.200 <small>ms</small>", "±&nbsp;0.005, on the device")
    assert shown["Accuracy"] == ("93.1 <small>%</small>", "±&nbsp;0.4, from scratch")
    assert (shown["Parameters"][0], shown["Multiply-adds"][0]) == ("1.23 M", "45.6 M")


def test_networks_are_compared_by_their_latency_over_the_target(
    data: ReportData, tables: dict[str, list[list[str]]]
) -> None:
    assert data.outcome is not None
    _, *rows = tables["Derived network and baselines"]
    baselines = sorted(data.baselines, key=lambda one: one.measured.ms)
    assert [row[0] for row in rows] == ["derived", *(one.name for one in baselines)]
    for row, one in zip(rows, (data.outcome, *baselines), strict=True):
        assert number(row[1]) == pytest.approx(one.measured.ms, abs=6e-4)
        assert number(row[2]) == pytest.approx(one.measured.ms / data.outcome.target_ms, abs=6e-3)
        assert number(row[3]) == pytest.approx(100 * one.accuracy.value, abs=0.06)
        assert row[3].endswith("± 0.4 %")
        assert (counted(row[4]), counted(row[5])) == (
            pytest.approx(one.params, rel=6e-3),
            pytest.approx(one.macs, rel=6e-3),
        )
    assert [row[6] for row in rows] == ["6 min 52 s, the whole run", *["2 min 31 s"] * 3]


def test_blocks_have_their_share_of_the_whole_time(
    data: ReportData, tables: dict[str, list[list[str]]]
) -> None:
    _, *rows, total = tables["64 px, 10 classes"]
    whole_ms = sum(data.breakdown.values())
    assert number(total[2]) == pytest.approx(whole_ms, abs=6e-5)
    for row in rows:
        of_row = sum(ms for path, ms in data.breakdown.items() if path == row[0])
        assert number(row[-2]) == pytest.approx(of_row, abs=6e-5)
        assert number(row[-1]) == pytest.approx(100 * of_row / whole_ms, abs=0.06)
    assert sum(number(row[-1]) for row in rows) == pytest.approx(100, abs=1)


def test_steps_say_what_they_saved_and_what_they_cost(
    data: ReportData, tables: dict[str, list[list[str]]]
) -> None:
    _, seed, *rows = tables["Steps taken"]
    assert (seed[1], seed[3], seed[5]) == ("the seed", "–", "–")
    for before, step, row in zip(data.steps, data.steps[1:], rows, strict=False):
        assert number(row[2]) == pytest.approx(step.latency_ms, abs=6e-4)
        assert number(row[3]) == pytest.approx(before.latency_ms - step.latency_ms, abs=6e-5)
        assert number(row[4]) == pytest.approx(100 * step.accuracy.value, abs=0.06)
        points = 100 * (step.accuracy.value - before.accuracy.value)
        assert number(row[5]) == pytest.approx(points, abs=0.06)
    assert {row[5][0] for row in rows} == {"\N{MINUS SIGN}", "+"}
    _, *tried = tables["Proposals, those taken marked"]
    assert len(tried) == sum(len(step.proposals) for step in data.steps)
    assert [row[1] for row in tried if row[5] == "taken"] == [row[1] for row in rows]
    proposals = [proposal for step in data.steps for proposal in step.proposals]
    for row, one in zip(tried, proposals, strict=True):
        assert number(row[2]) == pytest.approx(one.latency_ms, abs=6e-4)
        assert number(row[3]) == pytest.approx(one.saved_ms, abs=6e-5)


def test_trials_have_their_accuracy_and_reward(
    data: ReportData, tables: dict[str, list[list[str]]]
) -> None:
    for caption, found in (
        ("The Pareto front", front(data.records)),
        ("In the order they were begun", data.records),
    ):
        _, *rows = tables[caption]
        for row, record in zip(rows, found, strict=True):
            assert (row[0], number(row[1])) == (
                str(record.number),
                pytest.approx(record.latency_ms, abs=6e-4),
            )
            if record.accuracy is None:
                assert row[2:4] == ["–", "–"]
            else:
                assert number(row[2]) == pytest.approx(100 * record.accuracy, abs=0.06)
                assert number(row[3]) == pytest.approx(record.reward, abs=6e-5)


def test_a_stages_networks_have_their_predicted_and_their_measured_latency(
    data: ReportData,
) -> None:
    """MobileNetV3-Small has 2.54 M parameters and 56.5 M multiply-adds (Howard et al. 2019)."""
    small, accuracy = presets.build("mobilenet_v3_small"), Accuracy(0.674, 0.01)
    one = Found("network 4", small, accuracy, 0.2, Latency(0.25, 0.004), Latency(0.3, 0.003))
    found = StageResult((one,), "search", "by the proxy of the search")
    page = report.build(replace(data, outcome=None, baselines=(), target_ms=0.2, found=found))
    _, row = Tables(page).tables["The network"]
    assert row == [
        "0.200", "network 4", "0.250 ± 0.004", "0.300 ± 0.003", "67.4 ± 1.0 %", "2.54 M", "56.5 M",
    ]  # fmt: skip


def test_a_likeness_has_a_column_each_for_the_network_the_published_one_and_random_ones(
    data: ReportData,
) -> None:
    trait = Trait("h-swish", (4, 8), (0.1, 0.2), (0.3, 0.4), (0.5, 0.6), 0.2, 0.25, 97.5)
    like = Similarity("v3", 0.21, 200, 88.5, 0.1, (0.2, 0.3), (trait,))
    tables = Tables(report.build(replace(data, likeness=like))).tables
    caption = "Traits by depth: means over the blocks at output stride 4 · 8"
    assert tables[caption] == [
        ["Trait", "Nearer than", "This network", "v3", "Random, mean"],
        ["h-swish", "98 %", "0.1 · 0.2", "0.3 · 0.4", "0.5 · 0.6"],
    ]


def test_the_latency_models_figures_have_their_names(data: ReportData) -> None:
    figures = {
        "seconds": 341.0, "networks": 300, "held_out": 50, "mape_percent": 2.14,
        "bias_percent": -0.3, "within_5_percent": 94.0, "within_10_percent": 99.0,
        "repeat_mape_percent": 1.9,
    }  # fmt: skip
    page = report.build(replace(data, calibration=figures)).partition('id="latency"')[2]
    assert re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", page)[:8] == [
        ("calibration took", "5 min 41 s"), ("networks timed", "300"), ("held-out networks", "50"),
        ("mean error", "2.1 %"), ("mean signed error", "-0.3 %"), ("within ± 5 %", "94.0 %"),
        ("within ± 10 %", "99.0 %"), ("measuring twice differs by", "1.9 %"),
    ]  # fmt: skip
