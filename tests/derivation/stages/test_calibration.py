"""The latency model of a run: calibrated, read from a kit or refused, and what is said of it."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bneck.cli import run
from bneck.derivation.plan import Plan
from bneck.derivation.session import Session
from bneck.derivation.stages.calibration import calibration_stage, check_kit
from bneck.errors import BneckError, UsageError
from bneck.executors.serial import Serial
from bneck.latency import kit
from bneck.latency.devices import Device
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.kit import add_to_kit, write_kit
from bneck.latency.model import LatencyModel, load
from bneck.results.run import Run
from bneck.space import codec, spaces
from bneck.space.choices import Space
from bneck.space.cost import cost
from tests.derivation.stages.test_target_device import SMALL, of_sessions

FAR_AWAY = Fingerprint("far away", 4, "onnxruntime", "1", 1)


def with_kit(place: Path, folder: Path) -> Session:
    """A session in ``place`` whose target device is the kit in ``folder``."""
    plan = Plan(target="0.9x:mobilenet_v3_small", target_device=f"file:{folder}")
    return Session(Run(place / "run", {}), plan, Serial(), Serial())


def measured_far_away(folder: Path) -> None:
    """Write what a device would have measured of a kit, on which time goes by multiply-adds."""
    kit = json.loads((folder / "kit.json").read_text())
    steady = of_sessions(1.0).timings[0]
    items = []
    for one in kit["networks"]:
        timing = replace(steady, ratio=cost(codec.from_json(one["arch"])).macs / 1e6)
        own = {"name": one["name"], "arch": one["arch"], "seconds": 1.0}
        items.append(own | asdict(timing))
    about = {"format": kit["format"], "kit": kit["kit"], "device": asdict(FAR_AWAY)}
    (folder / "measurements.json").write_text(json.dumps(about | {"items": items}))


def test_a_kit_of_other_classes_predicts_but_takes_no_network_in_the_end(
    digits_latency: Path, tmp_path: Path
) -> None:
    """`search` and `shrink` add none to it, and `derive` asks before its trainings."""
    folder = tmp_path / "kit"
    add_to_kit(folder, SMALL.at(classes=1000), None, runtime="onnxruntime")
    measured_far_away(folder)
    session = with_kit(tmp_path, folder)
    replace(load(digits_latency), device=FAR_AWAY).save(session.run.latency)
    space = spaces.build("v3-small", resolution_px=16, classes=10)
    assert calibration_stage(session, space).model.predict(SMALL).ms > 0
    with pytest.raises(
        UsageError, match=r"the kit in .* 1000 classes, the network for 10 classes$"
    ):
        check_kit(session, space)


def test_a_kit_of_other_classes_is_calibrated_on_and_one_of_another_side_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`search` and `shrink` begin with it as they resume with it."""
    monkeypatch.setattr(kit, "NETWORKS", 50)
    folder = tmp_path / "kit"
    write_kit([spaces.build("v3-small", resolution_px=16, classes=1000)], folder)
    session = with_kit(tmp_path, folder)
    space = spaces.build("v3-small", resolution_px=16, classes=10)
    with pytest.raises(BneckError, match=r"measurements\.json is not there yet: copy"):
        calibration_stage(session, space)
    measured_far_away(folder)
    with pytest.raises(UsageError, match=r"the kit in .* is for 16 px, the network for 32 px$"):
        calibration_stage(session, spaces.build("v3-small", resolution_px=32, classes=10))
    assert not session.run.latency.exists()
    assert calibration_stage(session, space).model.predict(SMALL).ms > 0
    assert session.run.latency.exists()


def test_a_device_is_waited_for_and_calibrated_as_the_plan_says(
    digits_latency: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the calibration, and later before each measurement."""
    asked: list[object] = []

    def noted(spaces: list[Space], device: Device, **how: Any) -> LatencyModel:
        asked.extend((spaces, device.fingerprint().runtime, how["minutes"], how["seed"]))
        return load(digits_latency)

    stage = "bneck.derivation.stages.calibration"
    monkeypatch.setattr(f"{stage}.wait_until_quiet", lambda _, minutes, *__: asked.append(minutes))
    monkeypatch.setattr(f"{stage}.calibrate", noted)
    plan = Plan(target="1", runtime="macs", seed=5, calibration_minutes=3.0)
    session = Session(Run(tmp_path, {}), plan, Serial(), Serial(), wait_quiet=0.5)
    space = spaces.build("v3-small", resolution_px=16, classes=10)
    device = calibration_stage(session, space)
    assert asked == [0.5, [space], "macs", 3.0, 5]
    device.measure(SMALL)
    assert asked[5:] == [0.5]


def test_timings_that_a_kill_left_beside_their_model_go(
    digits_latency: Path, tmp_path: Path
) -> None:
    session = Session(Run(tmp_path, {}), Plan(target="1", runtime="macs"), Serial(), Serial())
    load(digits_latency).save(session.run.latency)
    session.run.timings.mkdir()
    (session.run.timings / "measurements.jsonl").touch()
    calibration_stage(session, spaces.build("v3-small", resolution_px=16, classes=10))
    assert not session.run.timings.exists()


@pytest.mark.parametrize("command", ["derive", "search"])
def test_a_model_of_another_side_than_the_datas_is_refused_before_anything_is_measured(
    command: str, digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the run that was begun so would refuse the right side as another plan."""
    out = tmp_path / "run"
    asked = ["--data=digits", "--target=0.9x:mobilenet_v3_small", "--runtime=macs"]
    assert run([command, *asked, f"--latency={digits_latency}", f"--out={out}"]) == 2
    error = capsys.readouterr().err
    assert "calibrated at 16 px, not at 32 px; give --resolution 16" in error.splitlines()[-1]
    assert "measuring" not in error
    assert not out.exists()


def test_a_doubtful_calibration_is_said_once_in_a_command(
    digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where its stages are runs of their own, as in a reproduction."""
    model = load(digits_latency)
    doubtful = replace(model, report=replace(model.report, mape_percent=10.0))
    space = spaces.build("v3-small", resolution_px=16, classes=10)
    plan = Plan(target="1.0x:mobilenet_v3_small", runtime="macs")
    session = Session(Run(tmp_path / "run", {}), plan, Serial(), Serial())
    parts = [replace(session, run=Run(tmp_path / name, {})) for name in ("search", "netadapt")]
    for one in (session, *parts):
        doubtful.save(one.run.latency)
        calibration_stage(one, space)
    assert capsys.readouterr().err.count("warning: predictions are off by 10.0 %") == 1
