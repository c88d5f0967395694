"""What else a machine did, from its counters before and after."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bneck.latency import device_load
from bneck.latency.device_load import QUIET, Load, LoadWatch, wait_until_quiet


def test_shares_are_of_the_seconds_and_stolen_ones_of_all_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """10 s of 4 cores: 18 s of them were used, 3 s by this process, 2 s were stolen."""
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    readings = iter([(100.0, 50.0, 7.0, 2.0), (110.0, 68.0, 9.0, 5.0)])
    monkeypatch.setattr(device_load, "_now", lambda: next(readings))
    found = LoadWatch().load()
    assert found == Load(other_cores=pytest.approx(1.5), stolen=pytest.approx(0.05))
    assert not found.quiet


@pytest.mark.parametrize(
    ("at_most", "above"),
    [
        (Load(0.5, 0.0), Load(0.51, 0.0)),
        (Load(0.0, 0.02), Load(0.0, 0.021)),
        (Load(0.0, 0.0, 0.15), Load(0.0, 0.0, 0.16)),
    ],
)
def test_a_machine_is_quiet_up_to_half_a_core_2_percent_stolen_and_15_slower(
    at_most: Load, above: Load
) -> None:
    assert (at_most.quiet, str(at_most)) == (True, "")
    assert (above.quiet, bool(str(above))) == (False, True)


def test_the_kernels_counters_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User, nice, system, idle, iowait, irq, softirq, stolen, and guests, who are in user."""
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 20 30 4000 500 6 7 80 9 1\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
    monkeypatch.setattr(device_load, "_STAT", stat)
    monkeypatch.setattr(os, "sysconf", lambda name: 10)
    monkeypatch.setattr(os, "times", lambda: SimpleNamespace(user=2.0, system=0.5))
    now = device_load._now()
    assert now is not None
    assert now[1:3] == pytest.approx((16.3, 8.0))
    assert now[3] == 2.5
    stat.write_text("cpu  100 20\n")
    assert LoadWatch().load() == QUIET


def test_a_wait_looks_every_five_seconds_until_its_minutes_are_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, said = [0.0], []
    clock = SimpleNamespace(
        monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds)
    )
    monkeypatch.setattr(device_load, "time", clock)
    wait_until_quiet(
        lambda: lambda: Load(1.2, 0.0), 1, lambda what, done, of, note: said.append((done, of))
    )
    assert now == [60.0]
    assert said == [(second, 60) for second in range(5, 60, 5)]


def test_a_busy_machine_is_said() -> None:
    watch = LoadWatch()
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        until = time.monotonic() + 60
        while (busy := watch.load()).other_cores <= 0.2 and time.monotonic() < until:
            time.sleep(0.5)
    finally:
        other.kill()
        other.wait()
    assert busy.other_cores > 0.2  # of a core, on a machine that others share
    assert str(Load(1.2, 0.1)) == (
        "other programs used 1.2 cores and other guests of this virtual machine's host took 10 %"
    )
    assert Load(0.1, 0.0).quiet
    assert str(QUIET) == ""


def test_waiting_ends_as_soon_as_the_device_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(device_load, "LOOK_S", 0.0)
    looks = iter([Load(1.2, 0.0), Load(0.0, 0.3), QUIET, Load(2.0, 0.0)])
    said: list[str] = []
    wait_until_quiet(
        lambda: lambda: next(looks), 5.0, lambda stage, done, total, note="": said.append(note)
    )
    assert [*looks] == [Load(2.0, 0.0)]
    assert said == [
        "other programs used 1.2 cores",
        "other guests of this virtual machine's host took 30 %",
    ]
    assert capsys.readouterr().err == ""
    wait_until_quiet(lambda: lambda: Load(1.2, 0.0), 1e-9)
    assert capsys.readouterr().err == (
        "warning: the device did not become quiet within 1e-09 minutes: "
        "other programs used 1.2 cores\n"
    )
