from pathlib import Path

import pytest

from bneck.latency import measure
from bneck.latency.calibrate import calibrate
from bneck.latency.devices import open_device
from bneck.latency.model import LatencyModel, load
from bneck.space import spaces


@pytest.fixture(scope="session")
def macs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibration of the device that counts multiply-adds: v3-small, 64 px, 10 classes."""
    space = spaces.build("v3-small", resolution_px=64, classes=10)
    folder = tmp_path_factory.mktemp("calibration")
    device = open_device(runtime="macs")
    calibrate([space], device, folder=folder, minutes=0.014).save(folder / "latency.json")
    return folder


@pytest.fixture(scope="session")
def macs_model(macs_folder: Path) -> LatencyModel:
    return load(macs_folder / "latency.json")


@pytest.fixture
def two_repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is said of a measurement; how sure it is does not count, and would take seconds."""
    monkeypatch.setattr(measure, "MIN_REPETITIONS", 2)
    monkeypatch.setattr(measure, "MAX_REPETITIONS", 2)
    monkeypatch.setattr(measure, "MAX_PAIRS", 6)
