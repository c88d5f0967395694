"""What the report's tables show, against the records that they are of."""

from dataclasses import replace

import pytest

from bneck.quantities import Accuracy, Latency
from bneck.results.page.report_context import compared, moves
from bneck.results.page.report_data import ReportData
from bneck.results.record import Baseline, Outcome, Proposal, Step
from bneck.space import presets

ARCH = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=3)


def test_a_step_saves_and_gains_against_the_one_before() -> None:
    seed = Step(0, ARCH, "", 1.0, Accuracy(0.8), (), 0.0)
    taken = Proposal(ARCH, "s1.b1.expand 16->8", 0.9, 0.1)
    first = Step(1, ARCH, taken.move, 0.9, Accuracy(0.78), (taken,), 1.0)
    rows = moves((seed, first))
    assert (rows[0]["saved_ms"], rows[0]["gained"]) == (None, None)
    assert (rows[1]["saved_ms"], rows[1]["gained"]) == pytest.approx((0.1, -0.02))
    assert moves((first,))[0]["saved_ms"] == 0.1  # by its own proposal


DATA = ReportData(name="digits", state="finished", plan={})


def test_baselines_are_listed_by_their_latency(outcome: Outcome, baseline: Baseline) -> None:
    slow, fast = replace(baseline, name="a"), replace(baseline, name="b", measured=Latency(1.0))
    listed = compared(
        replace(DATA, outcome=outcome, others={"0.9ms": outcome}, baselines=(slow, fast))
    )
    assert [name for name, _ in listed] == ["derived", "0.9ms", "b", "a"]
    assert compared(replace(DATA, baselines=(slow,))) == []
