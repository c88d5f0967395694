"""Devices by name, and the cores and the memory that a process may use."""

import os
from pathlib import Path

import pytest

from bneck import machine
from bneck.errors import UsageError
from bneck.machine import Compute, cores, memory_bytes


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


def test_the_limits_of_a_cluster_job_count_at_any_depth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tmp_path / "slurm" / "job_7" / "step"
    job.mkdir(parents=True)
    (tmp_path / "own").write_text("0::/slurm/job_7/step\n")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(machine, "_OWN_CGROUP", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    whole = memory_bytes()
    (job.parent / "memory.max").write_text(f"{2**20}\n")
    (job.parent / "cpu.max").write_text("200000 100000\n")
    (job / "memory.max").write_text("max\n")
    assert (memory_bytes(), cores()) == (2**20, 2)
    assert whole > 2**20
