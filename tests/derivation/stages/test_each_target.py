"""Runs of further targets inside a run."""

from dataclasses import replace
from pathlib import Path

from bneck.derivation.plan import Plan
from bneck.derivation.session import Session, open_run
from bneck.derivation.stages.each_target import SHARED, session_of_target
from bneck.executors.serial import Serial
from bneck.files import read_json, write_json
from bneck.progress import silent
from bneck.quantities import Accuracy, Latency
from bneck.results.run import Run
from bneck.results.stage_record import SelectedNetwork
from tests.small_networks import three_stages


def test_a_further_target_counts_no_work_that_was_done_for_another(tmp_path: Path) -> None:
    """As where it is added to a run that has ended."""
    run, plan = Run(tmp_path, {}), Plan(targets="2,1")
    for name in ("plan.toml", *SHARED):
        (tmp_path / name).touch()
    (tmp_path / "plan.toml").write_text("folds = 5\n")  # settled by the search that all share
    shared = {"calibration": 120.0, "search": 60.0}
    write_json(run.seconds, shared | {"NetAdapt": 30.0, "final training": 15.0, "teacher": 5.0})
    selected = SelectedNetwork(0, three_stages(), 1.0, Accuracy(0.5), Latency(1.1), None, 0.5)
    session = Session(run, plan, Serial(), Serial())
    with session_of_target(session, "1", selected) as own:
        assert read_json(own.run.seconds) == shared
        assert own.plan.folds == 5


def test_a_further_target_notes_the_command_of_the_whole_run(tmp_path: Path) -> None:
    """In Python that is none of the process, which may be a notebook's."""
    run, plan = Run(tmp_path, {}), Plan(targets="2,1")
    for name in ("plan.toml", *SHARED):
        (tmp_path / name).touch()
    latency = Latency(1.0, 0.01)
    selected = SelectedNetwork(0, three_stages(), 1.0, Accuracy(0.5), latency, latency, 0.5)
    said = "bneck.derive(target=None, targets='2,1', out='run')"
    session = Session(run, plan, Serial(), Serial(), command=said)
    with session_of_target(session, "1", selected) as own:
        assert [one.command for one in own.run.read_sessions()] == [said]


def test_a_change_of_plan_is_said_by_the_whole_run_alone(tmp_path: Path) -> None:
    told: list[str] = []
    latency = Latency(0.9, 0.01)
    selected = SelectedNetwork(0, three_stages(), 0.9, Accuracy(0.5), latency, latency, 0.5)
    for epochs in (1.0, 2.0):
        plan = Plan(targets="1.0,0.9", epochs=epochs)
        with open_run(plan, tmp_path, lambda *news: told.append(news[3])) as run:
            for name in SHARED:
                (tmp_path / name).touch()
            write_json(run.seconds, {"search": 1.0})
            session = Session(run, plan, Serial(), Serial(), lambda *news: told.append(news[3]))
            with session_of_target(session, "0.9", selected) as own:
                assert own.plan == replace(plan, target="0.9", targets=None)
    assert len(told) == 1
    assert told[0].startswith("--epochs was 1.0, now 2.0: reusing ")
    with open_run(own.plan, tmp_path / "targets" / "0.9ms", silent):  # it has the change
        pass
