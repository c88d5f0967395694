"""One driver at a time, also where two machines see one folder and not each other's locks."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from bneck import records
from bneck.errors import UsageError
from bneck.results import lease
from bneck.results.lease import LEASE, Driver, read_driver
from bneck.results.lock import LOCK, Lock, break_lock, is_held
from tests.processes import started

FAR = Driver("gpu-box/other-boot", 17, "5", "2026-11-26T10:00:00+00:00", "feed")


def left_by(driver: Driver, folder: Path, idle_s: float) -> None:
    """A lease as another machine leaves it, renewed so long ago."""
    records.write(folder / LEASE, driver)
    then = time.time() - idle_s
    os.utime(folder / LEASE, (then, then))


def test_the_driver_is_named(tmp_path: Path) -> None:
    held = Lock(tmp_path)
    driver = read_driver(tmp_path)
    assert driver is not None
    assert (driver.process, driver.is_here(), driver.lives()) == (os.getpid(), True, True)
    assert is_held(tmp_path)
    with pytest.raises(UsageError, match=rf"process {os.getpid()} on .*, since 20"):
        Lock(tmp_path)
    held.close()
    assert not is_held(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [LOCK]


def test_a_copy_of_a_run_at_work_is_nobodys(tmp_path: Path) -> None:
    """It was refused until the driver of the original had ended."""
    run, copy = tmp_path / "run", tmp_path / "copy"
    run.mkdir()
    held = Lock(run)
    shutil.copytree(run, copy)
    assert is_held(run)
    assert not is_held(copy)
    assert break_lock(copy) == read_driver(run)
    Lock(shutil.copytree(run, tmp_path / "another")).close()
    held.close()


def test_the_lease_of_an_earlier_version_tells_no_folder(tmp_path: Path) -> None:
    held = Lock(tmp_path)
    driver = read_driver(tmp_path)
    assert driver is not None
    records.write(tmp_path / LEASE, replace(driver, folder=0))
    assert is_held(tmp_path)
    held.close()


def test_a_driver_of_another_user_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To whose process the kernel lets nobody else send a signal."""

    def refuse(process: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    held = Lock(tmp_path)
    monkeypatch.setattr(os, "kill", refuse)
    with pytest.raises(UsageError, match="is not abandoned"):
        break_lock(tmp_path)
    held.close()


def test_a_lease_holds_where_the_lock_does_not_reach(tmp_path: Path) -> None:
    """As through two mounts: the lock file is another one, the lease is shared."""
    held = Lock(tmp_path)
    (tmp_path / LOCK).unlink()
    with pytest.raises(UsageError, match="another process is at work"):
        Lock(tmp_path)
    held.close()
    Lock(tmp_path).close()


def test_a_lock_file_that_another_driver_removes_meanwhile_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does whose run failed at once: its lock file goes after ours was opened."""
    real = fcntl.flock

    def removed_before(file: IO[bytes], operation: int) -> None:
        monkeypatch.undo()
        (tmp_path / LOCK).unlink()
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", removed_before)
    held = Lock(tmp_path)
    (tmp_path / LEASE).unlink()  # where only the lock is left to tell
    assert is_held(tmp_path)
    held.close()


def test_another_machine_at_work_is_refused_until_its_lease_expires(tmp_path: Path) -> None:
    left_by(FAR, tmp_path, idle_s=5)
    assert is_held(tmp_path)
    with pytest.raises(UsageError) as caught:
        Lock(tmp_path)
    said = str(caught.value)
    assert "process 17 on gpu-box, since 2026-11-26T10:00:00" in said
    wait = re.search(r"if it crashed, wait (\d+) s or run `bneck runs .* --break-lock`", said)
    assert wait is not None
    assert 0 < int(wait[1]) <= lease.EXPIRES_AFTER_S - 5
    left_by(FAR, tmp_path, idle_s=lease.EXPIRES_AFTER_S + 5)
    assert not is_held(tmp_path)
    Lock(tmp_path).close()


def test_the_command_that_breaks_a_lock_is_one_where_the_folder_has_spaces(tmp_path: Path) -> None:
    (folder := tmp_path / "my run").mkdir()
    left_by(FAR, folder, idle_s=5)
    with pytest.raises(UsageError, match=rf"run `bneck runs '{folder}' --break-lock`$"):
        Lock(folder)


def test_a_lock_is_broken_by_name(tmp_path: Path) -> None:
    left_by(FAR, tmp_path, idle_s=5)
    assert break_lock(tmp_path) == FAR
    Lock(tmp_path).close()
    assert break_lock(tmp_path) is None


def test_a_live_driver_of_this_machine_is_not_broken(tmp_path: Path) -> None:
    held = Lock(tmp_path)
    with pytest.raises(UsageError, match="is not abandoned"):
        break_lock(tmp_path)
    held.close()


def test_a_driver_that_was_killed_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    script = "import os, sys; from bneck.results.lock import Lock; from pathlib import Path; "
    script += "Lock(Path(sys.argv[1])); os._exit(9)"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert read_driver(tmp_path) is not None
    assert not is_held(tmp_path)
    Lock(tmp_path).close()


@pytest.mark.parametrize("function", ["link", "rename", "remove"])
def test_a_driver_that_was_killed_while_it_took_the_lease_leaves_nothing(
    tmp_path: Path, function: str
) -> None:
    script = "import os, sys; from bneck.results.lock import Lock; from pathlib import Path\n"
    dead = [sys.executable, "-c", f"{script}Lock(Path(sys.argv[1])); os._exit(9)", str(tmp_path)]
    subprocess.run(dead, check=False)  # whose lease is in the way
    killed = f"""
def hook(event, arguments):
    if event == "os.{function}" and ".driver" in Path(arguments[0]).name[:7]:
        os.kill(os.getpid(), 9)
sys.addaudithook(hook)
Lock(Path(sys.argv[1]))"""
    command = [sys.executable, "-c", script + killed, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -9
    assert len([*tmp_path.glob(".driver*")]) > 1
    Lock(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_what_a_driver_elsewhere_takes_the_lease_with_stays(tmp_path: Path) -> None:
    left_by(FAR, tmp_path, idle_s=0)
    (tmp_path / LEASE).rename(tmp_path / f"{LEASE}.0123456789abcdef")
    Lock(tmp_path).close()
    assert (tmp_path / f"{LEASE}.0123456789abcdef").exists()
    os.utime(tmp_path / f"{LEASE}.0123456789abcdef", (0, 0))
    Lock(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_the_lock_of_a_dead_driver_of_this_machine_can_be_broken(tmp_path: Path) -> None:
    script = "import os, sys; from bneck.results.lock import Lock; from pathlib import Path; "
    script += "Lock(Path(sys.argv[1])); os._exit(9)"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    left = read_driver(tmp_path)
    assert left is not None
    assert break_lock(tmp_path) == left
    assert read_driver(tmp_path) is None


def test_a_driver_that_misses_a_few_renewals_is_not_taken_for_dead(tmp_path: Path) -> None:
    left_by(FAR, tmp_path, idle_s=4 * lease.RENEWED_EVERY_S)
    assert is_held(tmp_path)
    with pytest.raises(UsageError, match="another process is at work"):
        Lock(tmp_path)


def test_a_killed_driver_that_nobody_has_waited_for_is_gone(tmp_path: Path) -> None:
    """A zombie still has its number, as under a shell that started it in the background."""
    script = "import sys, time; from bneck.results.lock import Lock; from pathlib import Path; "
    script += "held = Lock(Path(sys.argv[1])); print(flush=True); time.sleep(600)"
    command = [sys.executable, "-c", script, str(tmp_path)]
    with started(command, stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        assert is_held(tmp_path)
        driver.kill()
        os.waitid(os.P_PID, driver.pid, os.WEXITED | os.WNOWAIT)
        assert not is_held(tmp_path)
        Lock(tmp_path).close()


def test_the_lease_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWED_EVERY_S", 0.01)
    held = Lock(tmp_path)
    os.utime(tmp_path / LEASE, (0, 0))
    deadline = time.monotonic() + 60
    while (tmp_path / LEASE).stat().st_mtime == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (tmp_path / LEASE).stat().st_mtime > 0
    held.close()


@pytest.mark.parametrize("how", ["moved", "removed"])
def test_a_run_that_is_moved_while_at_work_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """It went on for hours in a new folder at the old place, which nobody could resume."""
    monkeypatch.setattr(lease, "RENEWED_EVERY_S", 0.01)
    folder = tmp_path / "run"
    folder.mkdir()
    held = Lock(folder)

    def work() -> None:
        folder.rename(tmp_path / "moved")
        records.append(folder / "steps.jsonl", FAR)  # makes the folder anew
        if how == "removed":
            shutil.rmtree(tmp_path / "moved")
        time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        work()
    held.close()
    assert capsys.readouterr().err == f"bneck: {folder} was moved or removed; this one stops\n"


def test_a_run_that_was_taken_over_stops_though_ctrl_c_is_ignored(tmp_path: Path) -> None:
    """As it is for what a script begins with ``&``: two drivers were at work on one run."""
    begun = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "import time\n"
        "from bneck import cli, records\n"
        "from bneck.commands import app\n"
        "from bneck.live import TerminalProgress\n"
        "from bneck.results import lease, lock\n"
        "from tests.results.test_lock import FAR, Path\n"
        "lease.RENEWED_EVERY_S = 0.01\n"
        "def work():\n"
        f"    held = lock.Lock(Path({str(tmp_path)!r}))\n"
        f"    records.write(Path({str(tmp_path / LEASE)!r}), FAR)\n"
        "    for _ in range(600):\n"
        "        time.sleep(0.05)\n"
        "        TerminalProgress()('work', 1, 2)\n"
        "app.COMMANDS['show'] = '__main__:work'\n"
        "cli.sys.argv = ['bneck', 'show']\n"
        "cli.main()\n"
    )
    command = [sys.executable, "-c", begun]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert ended.returncode == 130, ended.stderr
    assert ended.stderr.endswith("bneck: interrupted; run the same command to resume\n")
    assert read_driver(tmp_path) == FAR


def test_a_run_whose_lease_alone_is_gone_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lease, "RENEWED_EVERY_S", 0.01)
    held = Lock(tmp_path)
    (tmp_path / LEASE).unlink()
    time.sleep(0.2)  # in which one that was moved or taken over stops
    assert is_held(tmp_path)
    held.close()
    assert capsys.readouterr().err == ""


def test_a_lease_of_nothing_is_someone_unknown(tmp_path: Path) -> None:
    (tmp_path / LEASE).write_bytes(b"")
    with pytest.raises(UsageError, match="another process is at work"):
        Lock(tmp_path)
    os.utime(tmp_path / LEASE, (0, 0))
    Lock(tmp_path).close()


def test_of_two_drivers_that_find_an_expired_lease_one_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has looked at the old lease, and comes to move it when the new one is there."""
    left_by(FAR, tmp_path, idle_s=lease.EXPIRES_AFTER_S + 5)
    faster = replace(FAR, host="cpu-box/boot", token="f00d")
    look = lease._check_abandoned

    def looked_too_early(folder: Path) -> Driver | None:
        found = look(folder)
        records.write(folder / LEASE, faster)
        return found

    monkeypatch.setattr(lease, "_check_abandoned", looked_too_early)
    with pytest.raises(
        UsageError, match=r"another process is at work in .*: process 17 on cpu-box"
    ):
        Lock(tmp_path)
    assert read_driver(tmp_path) == faster
    assert sorted(os.listdir(tmp_path)) == [LEASE, LOCK]
