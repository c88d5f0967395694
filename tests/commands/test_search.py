"""What `bneck search` says of the networks that it names."""

from pathlib import Path

import pytest

from bneck import records
from bneck.derivation.plan import Plan
from bneck.derivation.session import open_run
from bneck.derivation.target import keep_targets
from bneck.progress import silent
from bneck.quantities import Accuracy, Latency
from bneck.results.stage_record import SearchResult, SelectedNetwork
from tests.command_line import json_of, said
from tests.small_networks import three_stages


def test_each_targets_network_has_its_own_figures(
    digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a search that has ended; one was measured, and for the other w was derived."""
    out, asked = tmp_path / "run", {"targets": "2,1", "data": "digits", "runtime": "macs"}
    plan = Plan(**asked, resolution_px=16, latency=str(digits_latency), seed_factor=1.5)
    first = SelectedNetwork(
        7, three_stages(), 2.0, Accuracy(0.81), Latency(2.25, 0.01), Latency(2.5, 0.02), 0.75,
    )  # fmt: skip
    second = SelectedNetwork(
        4, three_stages(0.5), 1.0, Accuracy(0.7), Latency(1.25, 0.01), None, 0.65, -0.12, 0.72
    )
    with open_run(plan, out, silent, command="bneck search") as run:
        keep_targets(run, [2.0, 1.0])
        records.write(run.winners, SearchResult((first, second), "one more is worth it"))
    words = [f"--{name}={value}" for name, value in asked.items()]
    words += ["--resolution=16", f"--latency={digits_latency}", "--seed-factor=1.5", "--workers=1"]
    result = json_of(capsys, "search", *words, f"--out={out}")
    own, other = result["networks"]
    names = ("target_ms", "ceiling_ms", "predicted_ms", "measured_ms", "latency_is", "accuracy")
    assert [own[name] for name in names] == [2.0, 3.0, 2.25, 2.5, "measured", 0.81]
    assert [other[name] for name in names] == [1.0, 1.5, 1.25, None, "predicted", 0.7]
    assert [one["arch"] for one in (own, other)] == [
        str(out / "targets" / name) for name in ("2ms.json", "1ms.json")
    ]
    _, text, _ = said(capsys, "search", *words, f"--out={out}")
    assert text.splitlines()[:3] == [
        "target 2 ms: trial 7, accuracy 0.8100 in the search, 2.50 ± 0.02 ms measured (2.25 ± 0.01 "
        "predicted), reward 0.7500",
        "target 1 ms: trial 4, accuracy 0.7000 in the search, 1.25 ± 0.01 ms predicted, not "
        "measured, reward 0.6500; w -0.120, derived from the target (the paper's: -0.07 for "
        "MobileNetV3-Large, -0.15 for MobileNetV3-Small)",
        "one more is worth it",
    ]


def test_a_proxy_that_gives_no_accuracies_is_not_offered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A zero-cost one was in the list, and refused when it was taken."""
    words = ("--target=1", "--proxy=short", f"--out={tmp_path}/run")
    found, _, err = said(capsys, "search", *words)
    assert found == 2
    known = "short-training, shared-weights:RUN, package.module:attr"
    assert err.startswith(f"bneck: unknown proxy 'short'; known: {known}")
