"""Runs of further targets inside a run."""

from pathlib import Path

from bneck.derivation.plan import Plan
from bneck.derivation.session import Session
from bneck.derivation.stages.each_target import SHARED, session_of_target
from bneck.executors.serial import Serial
from bneck.files import read_json, write_json
from bneck.quantities import Accuracy, Latency
from bneck.results.run import Run
from bneck.results.stage_record import SelectedNetwork
from tests.small_networks import three_stages


def test_a_further_target_counts_no_work_that_was_done_for_another(tmp_path: Path) -> None:
    """As where it is added to a run that has ended."""
    run, plan = Run(tmp_path, {}), Plan(targets="2,1")
    for name in ("plan.toml", *SHARED):
        (tmp_path / name).touch()
    shared = {"calibration": 120.0, "search": 60.0}
    write_json(run.seconds, shared | {"NetAdapt": 30.0, "final training": 15.0, "teacher": 5.0})
    selected = SelectedNetwork(0, three_stages(), 1.0, Accuracy(0.5), Latency(1.1), None, 0.5)
    session = Session(run, plan, Serial(), Serial())
    with session_of_target(session, "1", selected) as own:
        assert read_json(own.run.seconds) == shared
