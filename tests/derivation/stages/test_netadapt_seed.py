"""A seed network that meets its target already costs no training that nothing would use."""

from pathlib import Path

import pytest

from bneck import records
from bneck.derivation.pipeline import derive
from bneck.derivation.plan import Plan
from bneck.derivation.session import Session
from bneck.executors.serial import Serial
from bneck.quantities import Accuracy, Latency
from bneck.results.record import Outcome
from bneck.results.run import Run
from bneck.results.stage_record import SearchResult, SelectedNetwork, Shrunk
from bneck.space.cost import cost
from tests.small_networks import three_stages


@pytest.mark.parametrize("share", [1.0, 0.9])
def test_only_what_is_narrowed_is_trained_first(
    share: float, digits_latency: Path, tmp_path: Path
) -> None:
    seed_network = three_stages()
    records.write(tmp_path / "net.json", seed_network)
    plan = Plan(
        data="digits", resolution_px=16, runtime="macs", latency=str(digits_latency), epochs=0.1,
        target=f"{share}x:{tmp_path}/net.json", search_steps=2, fine_tune_steps=1, delta=0.2,
    )  # fmt: skip
    with Run.open(tmp_path / "run", plan.as_dict()) as run:
        # What a search selected: a network that measures just what the target is a share of.
        ms = share * 1e-9 * cost(seed_network).macs
        latency = Latency(ms, 0.0)
        selected = SelectedNetwork(0, seed_network, ms, Accuracy(0.5), latency, latency, 0.5)
        records.write(run.winners, SearchResult((selected,)))
        (outcome,) = derive(Session(run, plan, Serial(), Serial()))
    (shrunk,) = records.read_lines(run.shrunk, Shrunk)
    assert shrunk.met == (share == 1.0)
    assert (run.checkpoints / "seed.json").exists() == (share < 1.0)
    assert run.steps.exists() == (share < 1.0)
    assert outcome == records.read(run.result, Outcome)
    assert outcome.arch == shrunk.arch
    assert (outcome.arch == seed_network) == (share == 1.0)
    assert run.network.exists()
