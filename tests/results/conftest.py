"""A derivation as it could have gone, built from the package's own presets and spaces."""

import pytest

from bneck.quantities import Accuracy, Latency
from bneck.results.page.report_data import ReportData
from bneck.results.record import Baseline, Outcome, Proposal, Record, Step
from bneck.space import presets, spaces
from bneck.space.cost import cost
from tests.results import demo


@pytest.fixture
def record() -> Record:
    space = spaces.build("v3-small", resolution_px=32, classes=10)
    arch = space.decode(space.sample(3))
    return Record(7, arch, 0.81, 1.9, 0.78, None, 12.5, {"host": "worker-2", "bneck": "0.1.0"})


@pytest.fixture
def step() -> Step:
    arch = presets.build("mobilenet_v3_small", resolution_px=32, classes=10)
    tried = Proposal(arch, "s3.b2.expand 240->200", 1.93, 0.04, Accuracy(0.8, 0.01))
    failed = Proposal(arch, "s2 24->16", 1.9, 0.07, error="loss became NaN at step 40")
    return Step(1, arch, tried.move, 1.93, Accuracy(0.8), (tried, failed), 31.0)


@pytest.fixture
def outcome() -> Outcome:
    arch = presets.build("mobilenet_v3_small", width=0.75, resolution_px=32, classes=10)
    counts = cost(arch)
    return Outcome(
        arch,
        1.5,
        Latency(1.46, 0.02),
        Latency(1.48, 0.03),
        Accuracy(0.93, 0.008),
        counts.params,
        counts.macs,
        310.0,
    )


@pytest.fixture
def baseline() -> Baseline:
    arch = presets.build("mobilenet_v3_small", resolution_px=32, classes=10)
    counts = cost(arch)
    return Baseline(
        "mobilenet_v3_small",
        arch,
        Latency(1.88, 0.02),
        Accuracy(0.94, 0.008),
        counts.params,
        counts.macs,
        60.0,
    )


@pytest.fixture(scope="module")
def finished() -> ReportData:
    return demo.finished(60)
