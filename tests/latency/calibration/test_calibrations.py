"""Calibrations that later runs on the same device use again."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bneck.latency.calibration import calibrations
from bneck.latency.model import LatencyModel
from bneck.space import spaces

SPACE = spaces.build("v3-small", resolution_px=64, classes=10)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path))
    return tmp_path


def test_one_device_runtime_space_and_resolution_have_one_file(
    macs_model: LatencyModel, cache: Path
) -> None:
    device = macs_model.device
    file = calibrations.kept(device, SPACE)
    assert file.is_relative_to(cache)
    others = {
        calibrations.kept(device, spaces.build("v3-large", resolution_px=64, classes=10)),
        calibrations.kept(device, spaces.build("v3-small", resolution_px=96, classes=10)),
        calibrations.kept(device, spaces.build("v3-small", resolution_px=64, classes=11)),
        calibrations.kept(replace(device, version="2"), SPACE),
        calibrations.kept(replace(device, threads=2), SPACE),
    }
    assert len(others - {file}) == 5
    assert calibrations.kept(device, spaces.build("v3-small", resolution_px=64, classes=10)) == file


def test_a_space_of_ones_own_that_was_changed_has_another_file(
    macs_model: LatencyModel, cache: Path
) -> None:
    """What was timed of it before would lack the kernels that it has now."""
    wider = replace(SPACE, choices={**SPACE.choices, "s2.b1.kernel": (3, 5, 7, 9)})
    other = replace(SPACE, build=lambda values: SPACE.build(values | {"s5.width": 80}))
    # which the two networks that are looked at do not show
    more = replace(SPACE, choices={**SPACE.choices, "s9.kernel": (3, 5)})
    files = {calibrations.kept(macs_model.device, one) for one in (SPACE, wider, other, more)}
    assert len(files) == 4


def test_a_space_of_ones_own_whose_choices_depend_on_others_has_another_file(
    macs_model: LatencyModel, cache: Path
) -> None:
    """Its random networks are others, although the two that are looked at are not."""
    network = SPACE.decode(SPACE.sample(0))
    dependent = replace(SPACE, build=lambda values: network)
    free = replace(dependent, parents={})
    files = {calibrations.kept(macs_model.device, one) for one in (dependent, free)}
    assert len(files) == 2


def test_what_is_kept_is_found_again(macs_model: LatencyModel, cache: Path) -> None:
    file = calibrations.kept(macs_model.device, SPACE)
    assert calibrations.reusable(file, macs_model.device) is None
    calibrations.keep(macs_model, file)
    assert calibrations.reusable(file, macs_model.device) == macs_model
    other = replace(macs_model.device, version="2")
    assert calibrations.reusable(file, other) is None
    assert calibrations.age(file) == "today"
    os.utime(file, (time.time() - 2.5 * 24 * 3600,) * 2)
    assert calibrations.age(file) == "2 days ago"
    os.utime(file, (time.time() - 1.5 * 24 * 3600,) * 2)
    assert calibrations.age(file) == "yesterday"
    file.write_text("{}")
    assert calibrations.reusable(file, macs_model.device) is None


def test_a_doubtful_one_is_not_kept(macs_model: LatencyModel, cache: Path) -> None:
    doubtful = replace(macs_model, report=replace(macs_model.report, mape_percent=9.0))
    file = calibrations.kept(macs_model.device, SPACE)
    calibrations.keep(doubtful, file)
    assert not file.exists()
    doubtful.save(file)  # as before there were doubts
    assert calibrations.reusable(file, macs_model.device) is None


def test_one_that_cannot_be_read_is_none(macs_model: LatencyModel, cache: Path) -> None:
    """It costs a calibration, no run."""
    file = calibrations.kept(macs_model.device, SPACE)
    file.parent.symlink_to(file.parent)  # which leads nowhere, whoever reads it
    assert calibrations.reusable(file, macs_model.device) is None
    calibrations.keep(macs_model, file)
