"""Workers of one machine share what they import, and keep the driver's environment."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bneck.executors import Failed
from bneck.executors.processes import processes


def asked(name: str) -> tuple[str | None, str, bool]:
    return os.environ.get(name), os.getcwd(), "torch" in sys.modules


def end_by(number: int) -> None:
    os.kill(os.getpid(), number)


def private_mb(_: object) -> float:
    """Memory that is this process's alone (USS), with torch imported."""
    import torch  # noqa: F401

    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def test_a_worker_has_the_drivers_environment_of_its_own_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("one", "two"):
        monkeypatch.setenv("BNECK_TOLD", value)
        (tmp_path / value).mkdir()
        monkeypatch.chdir(tmp_path / value)
        with closing(processes(1)) as executor:
            ((_, (told, folder, _)),) = executor.map_unordered(asked, ["BNECK_TOLD"])
            assert (told, Path(folder).name) == (value, value)
            ((_, (threads, _, _)),) = executor.map_unordered(asked, ["OMP_NUM_THREADS"])
            assert threads == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_what_is_imported_once_is_shared() -> None:
    """Torch alone takes 280 MB of a process that imports it for itself."""
    script = (
        "from contextlib import closing\n"
        "from bneck.executors.processes import processes\n"
        "from tests.executors.test_processes import asked, private_mb\n"
        "with closing(processes(2, imported=['torch'])) as executor:\n"
        "    for _, outcome in executor.map_unordered(asked, ['HOME', 'USER']):\n"
        "        assert outcome[2], outcome\n"
        "    for _, mb in executor.map_unordered(private_mb, [1, 2]):\n"
        "        print(mb)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(float(mb) < 100 for mb in said.stdout.split()), said.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="all signals of other systems have names")
def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    with closing(processes(1)) as executor:
        ((_, outcome),) = executor.map_unordered(end_by, [40])
    assert outcome == Failed("its worker was killed by signal 40, 3 times")
