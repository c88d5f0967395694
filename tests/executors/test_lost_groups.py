"""A training by two processes, as a command, whose driver or workers are lost on the way."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bneck.proxies.training.checkpoint import steps_done
from bneck.space import presets
from tests.contracts import tasks

pytestmark = pytest.mark.slow

# Workers import their driver's script, so that what it says holds in them too.
DRIVER = """
import os
from pathlib import Path

from bneck.proxies.training import checkpoint, trainer
from bneck.proxies.training.distributed import rank

trainer.SECONDS_BETWEEN_CHECKPOINTS = 0.0
if __name__ == "__main__":
    from bneck.cli import main

    main()
(Path(__file__).parent / "workers" / str(os.getpid())).touch()
"""
HELD = """
import time

write_whole = checkpoint.write_whole

def write_and_hold(path, content):
    write_whole(path, content)
    time.sleep(600)

checkpoint.write_whole = write_and_hold
"""
KILLED = "trainer.mean_over_processes = lambda loss: os.kill(os.getpid(), 9) if rank() else loss"
CANNOT_START = "os._exit(3)"
DISK_FULL = """
def write_whole(path, content):
    raise OSError(28, "No space left on device")

checkpoint.write_whole = write_whole
"""
PROGRESS = re.compile(r"[\w ]+: \d+/\d+.*")
ENDED = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "ended by SIGTERM")}


def command(folder: Path, processes: int = 2, fault: str = "") -> list[str]:
    """Train a tiny network in ``folder``; the fault is the workers' alone."""
    (folder / "workers").mkdir(exist_ok=True)
    (folder / "driver.py").write_text(DRIVER + fault)
    whole = presets.build("mobilenet_v3_small", width=0.25, resolution_px=16, classes=10)
    arch = replace(whole, stages=whole.stages[:1])
    (folder / "network.json").write_text(json.dumps(arch.to_json()))
    asked = ["train", "network.json", "--data=digits", "--resolution=16", "--epochs=1", "--out=run"]
    return [sys.executable, "driver.py", *asked, f"--gpus={processes}"]


def accuracy_and_weights(folder: Path, processes: int = 2) -> tuple[float, bytes]:
    """What the command comes to."""
    arguments = [*command(folder, processes), "--json"]
    ended = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)["accuracy"], (folder / "run/weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[float, bytes]:
    return accuracy_and_weights(tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize(
    ("send", "sent", "processes"),
    [
        (os.killpg, signal.SIGINT, 1),  # as a terminal does
        (os.kill, signal.SIGINT, 2),
        (os.killpg, signal.SIGTERM, 1),  # as Slurm does
        (os.kill, signal.SIGKILL, 2),
    ],
    ids=["terminal", "interrupted", "terminated", "killed"],
)
def test_a_lost_driver_leaves_no_worker_and_its_command_resumes(
    tmp_path: Path,
    undisturbed: tuple[float, bytes],
    send: Callable[[int, int], None],
    sent: signal.Signals,
    processes: int,
) -> None:
    """One worker is busy and the other waits for it. Another number of processes resumes, too."""
    checkpoint = tmp_path / "run/checkpoints/network.checkpoint"
    with subprocess.Popen(
        command(tmp_path, fault=HELD),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as driver:
        while not checkpoint.exists() and driver.poll() is None:
            time.sleep(0.01)
        family = tasks.descendants(driver.pid)
        send(driver.pid, sent)
        _, said = driver.communicate()
    workers = {int(one.name) for one in (tmp_path / "workers").iterdir()}
    code, words = ENDED.get(sent, (-sent, ""))
    assert driver.returncode == code
    assert len(workers) == 2
    assert workers < family
    assert tasks.all_end(family)
    lines = said.splitlines()
    if words:
        assert lines.pop() == f"bneck: {words}; run the same command to resume"
    assert all(PROGRESS.fullmatch(line) for line in lines), said
    assert steps_done(checkpoint) == 1

    accuracy, weights = accuracy_and_weights(tmp_path, processes)
    assert accuracy == pytest.approx(undisturbed[0], abs=0.02)
    if processes == 2:
        assert weights == undisturbed[1]


@pytest.mark.parametrize(
    ("fault", "why", "tries"),
    [
        (KILLED, "its worker was killed by SIGKILL; .*, 3 times", 3),
        (CANNOT_START, "its worker ended with exit code 3, 3 times", 3),
        (DISK_FULL, r"OSError: \[Errno 28\] No space left on device", 1),
    ],
    ids=["killed", "cannot-start", "disk-full"],
)
def test_lost_and_broken_workers_end_the_command_with_one_line(
    tmp_path: Path, fault: str, why: str, tries: int
) -> None:
    arguments = command(tmp_path, fault=fault)
    ended = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    workers = {int(one.name) for one in (tmp_path / "workers").iterdir()}
    *lines, last = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert re.fullmatch(f"bneck: (the training of network failed: )?{why}", last), ended.stderr
    assert all(PROGRESS.fullmatch(line) for line in lines), ended.stderr
    assert tries <= len(workers) <= 2 * tries  # the second is stopped as soon as the first is lost
    assert tasks.all_end(workers)
