"""What a run says of how long it will take, and of plans that are too small."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bneck import records
from bneck.cli import run
from bneck.derivation import time_estimate
from bneck.derivation.plan import Plan
from bneck.derivation.schedule import MEASURING
from bneck.derivation.session import Session, planned_device
from bneck.derivation.stages.calibration import takes_no_time
from bneck.derivation.stages.data import RunData
from bneck.derivation.time_estimate import STAGES, announce, trainings_long
from bneck.executors.processes import Processes, processes
from bneck.executors.serial import Serial
from bneck.executors.together import Together
from bneck.latency.calibration import calibrations
from bneck.latency.calibration.calibrate import calibrate
from bneck.latency.devices.local import LocalDevice
from bneck.proxies.data.loading import load
from bneck.proxies.training.recipe import Recipe
from bneck.results.record import Record
from bneck.results.run import Run
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.edits import narrowables
from tests.search.journals import write_trials

QUICK = (
    "--data=digits", "--resolution=16", "--runtime=macs", "--calibration-minutes=0.001",
    "--target=0.8x:mobilenet_v3_small", "--workers=1", "--json",
)  # fmt: skip


def test_trainings_at_once_and_trainings_by_several_processes_take_less_long() -> None:
    workers = processes(2)
    assert [trainings_long(count, workers) for count in (1, 2, 3)] == [1, 1, 2]
    workers.close()
    together = Together(Processes(4), 4)
    assert [trainings_long(count, together) for count in (1, 2, 3)] == [0.25, 0.5, 0.75]


NET = "mobilenet_v3_small"


def expected_s(folder: Path, *stages: str, workers: int = 1, **asked: Any) -> dict[str, float]:
    """Seconds by stage, where each training step takes a tenth of one."""
    steps = {"search_steps": 20, "fine_tune_steps": 10, "delta": 0.05, "folds": 1}
    plan = Plan(resolution_px=16, epochs=1, **steps, **asked)
    here = processes(workers)
    session = Session(Run(folder, {}), plan, here, here)
    announce(session, RunData(load("digits", resolution_px=16).info), stages)
    here.close()
    return session.schedule.expected_s


def netadapt_s(folder: Path, **asked: Any) -> float:
    return expected_s(folder, "NetAdapt", latency="x", **asked)["NetAdapt"]


def test_workers_share_the_steps_of_a_search_and_whole_final_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two targets there are three final trainings: MobileNetV3-Small is trained too."""
    monkeypatch.setattr(time_estimate, "_step_seconds", lambda arch, recipe: 0.1)
    training_s = round(1437 / 64) * 0.1
    stages, asked = ("search", "final training"), {"latency": "x", "evaluations": 10}
    for workers, rounds in ((1, 3), (2, 2), (3, 1)):
        found = expected_s(tmp_path, *stages, workers=workers, targets="1,2", **asked)
        assert found["search"] == pytest.approx(10 * 20 * 0.1 / workers)
        assert found["final training"] == pytest.approx(rounds * training_s)
    taught = expected_s(tmp_path, *stages, target="1", teacher="seed", **asked)
    assert taught["teacher"] == pytest.approx(training_s)


def test_final_trainings_that_have_ended_are_not_announced_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a run is stopped while it measures, in the end."""
    monkeypatch.setattr(time_estimate, "_step_seconds", lambda arch, recipe: 0.1)
    training_s, found = round(1437 / 64) * 0.1, []
    (tmp_path / "checkpoints").mkdir()
    asked = {"latency": "x", "targets": "1,2", "teacher": "seed"}
    for name in ("teacher", "derived", "derived-2ms", NET):
        (tmp_path / "checkpoints" / f"{name}.json").write_text("{}")
        (tmp_path / "checkpoints" / f"{name}.start.safetensors").touch()
        found.append(expected_s(tmp_path, "final training", **asked))
    assert [one.get("teacher") for one in found] == [None] * 4
    trainings = [pytest.approx(count * training_s) for count in (3, 2, 1)]
    assert [one.get("final training") for one in found] == [*trainings, None]


def test_a_calibration_takes_its_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path / "cache"))
    found = expected_s(tmp_path, "calibration", target="1", calibration_minutes=3.0)
    assert found == {"calibration": 180.0}


def test_a_step_is_timed_by_the_faster_of_two_after_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At 16 px, 512 images have the pixels of a timed batch."""
    looks = iter([0.0, 9.0, 10.0, 13.0, 20.0, 22.0])
    monkeypatch.setattr(time_estimate, "time", SimpleNamespace(monotonic=lambda: next(looks)))
    arch = presets.build(NET, width=0.35).at(resolution_px=16, classes=10)
    assert time_estimate._step_seconds(arch, Recipe(1, batch_size=1024)) == 2.0 * 1024 / 512


def test_steps_of_one_size_are_timed_once_and_only_for_what_is_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[int] = []

    def step_s(arch: Architecture, recipe: Recipe) -> float:
        timed.append(recipe.batch_size)
        return 0.1

    monkeypatch.setattr(time_estimate, "_step_seconds", step_s)
    expected_s(tmp_path, "calibration", target="1", latency="x")
    assert timed == []
    expected_s(tmp_path, *STAGES, target="1", latency="x")
    assert timed == [64]


def test_netadapt_takes_as_long_as_its_steps_and_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each target that a search serves, half of what is over it; a given network goes on.

    Each step of 5 % fine-tunes as many proposals as MobileNetV3-Small has widths to narrow.
    """
    monkeypatch.setattr(time_estimate, "_step_seconds", lambda arch, recipe: 0.1)
    seed_s, step_s = 20 * 0.1, len(narrowables(presets.build(NET))) * 10 * 0.1
    found = {count: netadapt_s(tmp_path, targets="1,2"[: 2 * count - 1]) for count in (1, 2)}
    assert found[1] == pytest.approx(seed_s + 2.5 * step_s)  # half of 25 % in steps of 5 %
    assert found[2] == pytest.approx(2 * found[1])
    shared_s = netadapt_s(tmp_path, targets="1", workers=2)  # the proposals alone
    assert shared_s == pytest.approx(seed_s + 2.5 * step_s / 2)
    given = {"seed_network": NET, "targets": f"0.9x:{NET},0.7x:{NET},0.8x:{NET}"}
    assert netadapt_s(tmp_path, **given) == pytest.approx(seed_s + 6 * step_s)
    finished_s = netadapt_s(tmp_path, finish="scratch", **given) - netadapt_s(tmp_path, **given)
    assert finished_s == pytest.approx(3 * round(1437 / 64) * 0.1)  # an epoch for each target
    with pytest.raises(KeyError):  # a share of another side's latency says nothing of this one's
        netadapt_s(tmp_path, seed_network=NET, target=f"0.8x:{NET}@64")


def test_what_a_search_has_done_is_not_announced_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_estimate, "_step_seconds", lambda arch, recipe: 0.1)
    space = spaces.build("v3-small", resolution_px=16, classes=10)
    trials = (0, 0, None), (1, 0, "it diverged"), (2, 0, None), (2, 1, "it diverged")
    write_trials(tmp_path / "journal.log", space, *trials)
    session, _ = announced(tmp_path, proxy="short-training")
    assert session.schedule.expected_s["search"] == pytest.approx((10 - 3 - 3) * 20 * 0.1)
    session, _ = announced(tmp_path, promote=True, epochs=2)  # 45 steps
    left_s = ((10 - 3) * 20 + (4 - 1 + 2) * 45) * 0.1
    assert session.schedule.expected_s["search"] == pytest.approx(left_s)


def test_a_score_in_8_bits_takes_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """18 to 34 % of the training, as measured (docs/latency.md)."""
    monkeypatch.setattr(time_estimate, "_step_seconds", lambda arch, recipe: 0.1)
    search_s = {}
    for score_int8 in (False, True):
        session, _ = announced(tmp_path, score_int8=score_int8)
        search_s[score_int8] = session.schedule.expected_s["search"]
    assert search_s[False] == pytest.approx(10 * 20 * 0.1)
    assert 1.18 <= search_s[True] / search_s[False] <= 1.34


def test_each_fold_is_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_estimate, "_step_seconds", lambda arch, recipe: 0.1)
    session, _ = announced(tmp_path, folds=3)
    assert session.schedule.expected_s["search"] == pytest.approx(3 * 10 * 20 * 0.1)


def test_a_front_promotes_networks_at_each_of_its_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four at each of six points, so all ten three times as long; then two at each, all again."""
    monkeypatch.setattr(time_estimate, "_step_seconds", lambda arch, recipe: 0.1)
    session, _ = announced(tmp_path, promote=True)
    assert session.schedule.expected_s["search"] == pytest.approx((10 + 4 * 3 + 2 * 9) * 20 * 0.1)
    session, _ = announced(tmp_path, promote=True, epochs=3)  # 67 steps
    shorter_s = (10 * 20 + 4 * 60 + 2 * 67) * 0.1
    assert session.schedule.expected_s["search"] == pytest.approx(shorter_s)
    session, _ = announced(tmp_path, promote=True, reward="front")
    assert session.schedule.expected_s["search"] == pytest.approx((10 + 10 * 3 + 10 * 9) * 20 * 0.1)


def test_networks_widened_for_slower_targets_are_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All ten three times as long, as there are four for each of three targets; six nine times."""
    monkeypatch.setattr(time_estimate, "_step_seconds", lambda arch, recipe: 0.1)
    asked = {"target": None, "targets": "0.8,1.0,1.5", "promote": True}
    session, _ = announced(tmp_path, **asked)
    steps = 10 * 20 + 10 * 60 + 6 * 180 + 2 * 180
    assert session.schedule.expected_s["search"] == pytest.approx(steps * 0.1)
    arch = presets.build("mobilenet_v3_small", resolution_px=16, classes=10)
    records.append(tmp_path / "widened.jsonl", Record(40, arch, 0.5, 1.0, 0.5, None, 1.0, rung=2))
    session, _ = announced(tmp_path, **asked)
    assert session.schedule.expected_s["search"] == pytest.approx((steps - 180) * 0.1)


def test_a_calibration_that_is_reused_takes_no_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path / "cache"))
    plan = Plan(target="1.0", resolution_px=16)
    space = spaces.build(plan.space, resolution_px=16, classes=10)
    assert not takes_no_time(plan, space)
    by_macs = calibrate([space], LocalDevice(runtime="macs"), folder=tmp_path, minutes=0.001)
    here = planned_device(plan).fingerprint()
    calibrations.keep(replace(by_macs, device=here), calibrations.kept(here, space))
    assert takes_no_time(plan, space)
    assert not takes_no_time(replace(plan, calibrate="anew"), space)
    assert not takes_no_time(replace(plan, threads=2), space)


def test_measurements_of_the_target_device_are_foretold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each target the search's network, three of NetAdapt, and one of two in the end."""
    monkeypatch.setattr(time_estimate, "_step_seconds", lambda arch, recipe: 0.1)
    derived = announced(tmp_path, stages=STAGES)[0].schedule.measurements
    assert derived == {"search": 1, "NetAdapt": 3, MEASURING: 2}
    several = {"target": None, "targets": "1,2", "stages": STAGES}
    found = announced(tmp_path, **several)[0].schedule.measurements
    assert found == {"search": 2, "NetAdapt": 6, MEASURING: 3}  # one is what both compare with
    shrunk = {"target": None, "targets": "1,2", "seed_network": NET}
    found = announced(tmp_path, stages=("NetAdapt",), **shrunk)[0].schedule.measurements
    assert found == {"NetAdapt": 6}
    assert announced(tmp_path, stages=STAGES, runtime="macs")[0].schedule.measurements == {}
    for name in ("winners.json", "shrunk.jsonl", "baselines.jsonl"):
        (tmp_path / name).write_text("{}\n")
    assert announced(tmp_path, stages=STAGES)[0].schedule.measurements == {MEASURING: 1}


def test_no_hours_of_a_cpu_are_given_for_a_gpu(tmp_path: Path) -> None:
    session, said = announced(tmp_path, device="cuda:1")
    assert not session.schedule.expected_s
    assert said == ["how long trainings by --device cuda:1 take is not known in advance"]


@pytest.mark.parametrize("finish", [None, "fine-tune"])
def test_a_final_training_shorter_than_a_label_is_warned_of(
    tmp_path: Path, finish: str | None
) -> None:
    """Of 1,437 digits a label takes 126 steps of 64: as many images as 5.6 epochs show."""
    stages = STAGES if finish is None else ("calibration", "NetAdapt")
    asked = {"device": "cuda:1", "finish": finish, "stages": stages}
    _, (warning, _) = announced(tmp_path, epochs=2.0, **asked)
    assert warning == (
        "warning: too few --epochs to learn much: 45 training steps in the end, when 126 suit the "
        "search alone"
    )
    for enough in (6.0, None):
        _, said = announced(tmp_path, epochs=enough, **asked)
        assert len(said) == 1


def announced(
    folder: Path, *, stages: Sequence[str] = ("calibration", "search"), **asked: Any
) -> tuple[Session, list[str]]:
    """Ten evaluations of 20 steps on digits, announced, and what was said."""
    said: list[str] = []
    steps = {"evaluations": 10, "search_steps": 20, "folds": 1}
    plan = Plan(**{"data": "digits", "target": "1.0", "latency": "x", **steps, **asked})
    here = Serial()
    session = Session(Run(folder, {}), plan, here, here, lambda *news: said.append(news[3]))
    data = RunData(load("digits", resolution_px=16).info)
    announce(session, data, stages)
    return session, [note for note in said if "too small" not in note]


def test_a_run_says_how_long_its_stages_take(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    small = ("--evaluations=2", "--search-steps=4")
    assert run(["search", "--out", str(tmp_path / "run"), *QUICK, *small]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["evaluations"] == 2
    lines = err.splitlines()
    assert lines[0] == "starting: 0/1"
    assert (
        "plan: 1/1; warning: too small to find a good network: 2 evaluations, when it takes 8 "
        "to learn what matters, and 4 training steps, when 126 suit these images"
    ) in lines
    told = next(line for line in lines if line.startswith("whole run (s): 0/"))
    assert re.search(r"[0-9.]+ s left; to come: search [0-9.]+ s$", told)  # no noise, no minutes
    assert any(line.startswith("search: 0/2") for line in lines)
