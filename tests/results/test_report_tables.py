"""The numbers in a report's tables are those of the records that they are of."""

from html.parser import HTMLParser

import pytest

from bneck.results import report
from bneck.results.pareto import front
from bneck.results.report_data import ReportData
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
