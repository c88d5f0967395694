"""Items that several processes do together, and which GPU each process is shown."""

import os
import signal
import socket
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch
from torch import distributed

from bneck.errors import BneckError, ProxyFailed, UsageError
from bneck.executors import Failed, open_executor, open_together
from bneck.executors.gpus import one_each, shares
from bneck.executors.processes import Processes
from bneck.executors.reserved import ONE_CPU
from bneck.executors.together import Together

pytestmark = pytest.mark.usefixtures("forks_have_torch")

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


def cut_off_once(marker: Path) -> float:
    """One process closes its connection and lives on, as on a node that nobody misses yet."""
    if distributed.get_rank() == 1 and not marker.exists():
        marker.touch()
        distributed.destroy_process_group()
        time.sleep(600)
    total = torch.ones(())
    distributed.all_reduce(total)
    return total.item()


def on_the_loopback(_: None) -> str:
    """Where processes find each other by TCP, as on a cluster of this machine alone."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"tcp://127.0.0.1:{free.getsockname()[1]}"


def interface_of_a_sum(item: float) -> tuple[float, str | None]:
    """What two processes say, and the network interface by which they said it."""
    total = torch.tensor(item)
    distributed.all_reduce(total)
    return total.item(), os.environ.get("GLOO_SOCKET_IFNAME")


def no_meeting(_: None) -> str:
    """What a worker says whose machine has no temporary folder."""
    raise FileNotFoundError("No usable temporary directory found")


def test_each_item_is_done_by_all_and_the_first_ones_answer_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They find each other in a file, whatever its folder is called, and leave none."""
    folder = tmp_path / "of user #1"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    together = Together(Processes(2, [{"PLACE": "a"}, {"PLACE": "b"}]), 2)
    assert list(together.map_unordered(sum_of_ranks, [1])) == [(1, (30.0, "a"))]
    assert not list(folder.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which interface leads there")
def test_workers_talk_by_the_interface_that_leads_to_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Gloo took that of the machine's name, which on many is the loopback: none was reached."""
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    together = Together(Processes(2), 2, on_the_loopback)
    assert list(together.map_unordered(interface_of_a_sum, [3.0])) == [(3.0, (6.0, "lo"))]


def test_workers_that_cannot_meet_say_why() -> None:
    together = Together(Processes(2), 2, no_meeting)
    with pytest.raises(BneckError, match="No usable temporary directory found"):
        list(together.map_unordered(sum_of_ranks, [1]))


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
def test_one_that_is_cut_off_is_a_loss_before_anybody_knows_of_it(tmp_path: Path) -> None:
    """On Ray, where a node's loss takes half a minute to be known, it was a failed training."""
    together = Together(Processes(2), 2)
    marker = tmp_path / "cut off"
    assert list(together.map_unordered(cut_off_once, [marker])) == [(marker, 2.0)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
def test_actors_on_ray_do_an_item_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bneck.executors.ray import Actor
    from bneck.executors.ray_cluster import Head

    monkeypatch.setenv("PLACE", "ray")
    together = open_together(2, "auto", ray="local")
    try:
        outcomes = dict(together.map_unordered(sum_of_ranks, [1]))
        neighbour = Actor(ONE_CPU, Head("local"))  # which leaves one CPU of two
        neighbour.answer()
        monkeypatch.setattr("bneck.executors.together.START_SECONDS", 1.0)
        monkeypatch.setattr("bneck.executors.ray.SECONDS_UNTIL_SAID", 0.5)
        capsys.readouterr()
        with pytest.raises(
            BneckError, match=r"[12] of 2 workers did not start within 1 s: no free"
        ):
            list(together.map_unordered(sum_of_ranks, [1]))
        assert capsys.readouterr().err.startswith(  # one may have: it said that none had
            "warning: some workers have not started for 0.5 s; perhaps others use the cluster's "
        )
        neighbour.kill()
    finally:
        together.close()
    assert outcomes == {1: (30.0, "ray")}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
def test_a_ray_of_this_machine_has_cpus_for_those_that_train_together() -> None:
    """It had as many as evaluations take, and a command with --workers 1 --gpus 2 ended."""
    pytest.importorskip("ray")
    with closing(open_executor(1, ray="local", together=2)) as scorer:
        assert scorer.workers == 1
        open_together(2, "cpu", ray="local").close()
        with pytest.raises(
            UsageError, match=r"^--gpus is 3, but the cluster has room for 2, each on a CPU$"
        ):
            open_together(3, "cpu", ray="local")


def test_workers_share_the_gpus_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHOWN, raising=False)
    assert shares("cpu", 4) == []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
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
    for count in (3, 4):
        with pytest.raises(UsageError, match=f"--gpus is {count}, but this machine has 2"):
            one_each("auto", count)
    with pytest.raises(UsageError, match="--gpus 2 needs --device cuda, auto or cpu, not cuda:1"):
        one_each("cuda:1", 2)
