import os
from pathlib import Path

import pytest

from bneck import machine
from bneck.errors import UsageError
from bneck.machine import Compute, cores


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:7"])
def test_devices(device: str) -> None:
    assert Compute(device).device == device


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CPU", ""])
def test_unknown_devices_are_named(device: str) -> None:
    with pytest.raises(UsageError, match=f"unknown device '{device}'; known: auto, cpu, cuda"):
        Compute(device)


def test_cores_are_those_of_the_affinity_and_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert cores() == 6
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cores() == 6
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    assert cores() == 2
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert cores() == 1


def test_an_old_containers_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("300000\n")
    assert cores() == 3
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert cores() == 6
