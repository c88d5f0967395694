"""Items that several processes do together, and which GPU each process is shown."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import distributed

from bneck.errors import ProxyFailed, UsageError
from bneck.executors import Failed, open_together
from bneck.executors.gpus import one_each, shares
from bneck.executors.processes import Processes
from bneck.executors.together import Together

SHOWN = "CUDA_VISIBLE_DEVICES"
SHARE = "BNECK_GPU_SHARE"


def sum_of_ranks(item: int) -> tuple[float, str]:
    """What all processes say, and what the first was shown."""
    total = torch.tensor(float(10**item * (distributed.get_rank() + 1)))
    distributed.all_reduce(total)
    return total.item(), os.environ["PLACE"]


def fail_beside_one_that_waits(how: str | Path) -> float:
    """One process fails; a file says that it has been killed before."""
    if distributed.get_rank() == 1:
        if how == "fail":
            raise ProxyFailed("the loss is nan")
        if how == "refuse":
            raise UsageError("no such data")
        if isinstance(how, Path) and not how.exists():
            how.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    total = torch.ones(())
    distributed.all_reduce(total)
    return total.item()


def test_each_item_is_done_by_all_and_the_first_ones_answer_counts() -> None:
    places = [{"PLACE": "a"}, {"PLACE": "b"}, {"PLACE": "c"}]
    together = Together(Processes(3, places), 3)
    assert list(together.map_unordered(sum_of_ranks, [1])) == [(1, (60.0, "a"))]


@pytest.mark.slow
def test_one_that_fails_or_is_killed_leaves_none_waiting(tmp_path: Path) -> None:
    together = open_together(2, "cpu")
    marker = tmp_path / "killed"
    outcomes = dict(together.map_unordered(fail_beside_one_that_waits, ["fail", marker]))
    assert outcomes == {"fail": Failed("ProxyFailed: the loss is nan"), marker: 2.0}
    assert marker.exists()
    with pytest.raises(UsageError, match="no such data"):
        list(together.map_unordered(fail_beside_one_that_waits, ["refuse"]))


@pytest.mark.slow
def test_ctrl_c_reaches_the_driver_alone_and_the_same_command_resumes(tmp_path: Path) -> None:
    script = "from bneck.cli import main; main()"
    command = [sys.executable, "-c", script, "train", "mobilenet_v3_small", "--data=digits"]
    command += ["--resolution=16", "--gpus=2", f"--out={tmp_path}", "--epochs"]
    checkpoint = tmp_path / "checkpoints" / "network.checkpoint"
    with subprocess.Popen([*command, "5"], stderr=subprocess.PIPE, start_new_session=True) as one:
        until = time.monotonic() + 120
        while not checkpoint.exists() and time.monotonic() < until:
            time.sleep(0.5)
        assert checkpoint.exists()
        os.killpg(one.pid, signal.SIGINT)  # as a terminal does
        _, said = one.communicate(timeout=60)
    assert one.returncode == 130
    assert b"Traceback" not in said
    finished = subprocess.run([*command, "5"], capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "model.onnx").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
def test_actors_on_ray_do_an_item_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "ray")
    together = open_together(2, "auto", ray="local")
    try:
        outcomes = dict(together.map_unordered(sum_of_ranks, [1]))
    finally:
        together.close()
    assert outcomes == {1: (30.0, "ray")}


def test_workers_share_the_gpus_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHOWN, raising=False)
    assert shares("cpu", 4) == []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert shares("cuda", 3) == [
        {SHOWN: "0", SHARE: "0.5"},
        {SHOWN: "1", SHARE: "1.0"},
        {SHOWN: "0", SHARE: "0.5"},
    ]
    assert shares("cuda:1", 4) == [{SHARE: "0.25"}] * 4
    monkeypatch.setenv(SHOWN, "3, 5")
    assert [one[SHOWN] for one in shares("auto", 2)] == ["3", "5"]
    assert one_each("cuda", 2) == [{SHOWN: "3"}, {SHOWN: "5"}]
    assert one_each("cpu", 2) == [{}, {}]
    with pytest.raises(UsageError, match="--gpus is 4, but this machine has 2"):
        one_each("auto", 4)
    with pytest.raises(UsageError, match="--gpus 2 needs --device cuda, auto or cpu, not cuda:1"):
        one_each("cuda:1", 2)
