"""A cluster elsewhere, and one whose head is lost."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bneck.errors import BneckError, UsageError
from bneck.executors import Failed, open_executor
from tests.contracts import tasks
from tests.processes import started

pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
HERE = Path(__file__).resolve().parents[2]
DRIVER = """
from contextlib import ExitStack, closing
from bneck import cli
from bneck.commands import app
from bneck.executors import open_executor, open_together, pool, ray, ray_cluster
from tests.contracts.tasks import sleep

pool.ROOM_SECONDS = ray.SECONDS_BETWEEN_LOOKS = ray_cluster.SECONDS_BETWEEN_LOOKS = 0.5
ray_cluster.SILENT_SECONDS = 2.0

def call(arguments):
    address, workers, seconds, *together = arguments
    with ExitStack() as stack:
        executor = stack.enter_context(closing(open_executor(int(workers) or None, ray=address)))
        if together:
            executor = stack.enter_context(closing(open_together(1, "cpu", ray=address)))
        for _ in executor.map_unordered(sleep, [1.0, *[float(seconds)] * 3]):
            print("at work", flush=True)

app.call = call
cli.main()
"""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A cluster that this process is not connected to: its head, which clients reach."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    cluster = Cluster()
    try:
        head = cluster.add_node(num_cpus=1, include_dashboard=False, ray_client_server_port=port)
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        cluster.client = f"ray://{head.node_ip_address}:{port}"
        wait_until_clients_are_served(cluster.client)
        yield cluster
    finally:
        cluster.shutdown()


def wait_until_clients_are_served(address: str) -> None:
    """Ray fails some clients that come right after a head's start, each after half a minute."""
    time.sleep(3)
    for _ in range(3):
        connect = [sys.executable, "-c", f"import ray; ray.init({address!r})"]
        if subprocess.run(connect, capture_output=True).returncode == 0:
            return
    pytest.fail(f"no client is served at {address}")


def driver_of(address: str, workers: int, seconds: int, *together: str) -> list[str]:
    return [sys.executable, "-c", DRIVER, address, str(workers), str(seconds), *together]


def test_a_head_that_does_not_answer_is_waited_for_and_then_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bneck.executors import ray_cluster

    monkeypatch.setattr(ray_cluster, "SECONDS_BETWEEN_LOOKS", 0.1)
    monkeypatch.setattr(ray_cluster.ray, "is_initialized", lambda: True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = server.getsockname()
        head = ray_cluster.Head(f"ray://127.0.0.1:{place[1]}")
        assert head.check()
    assert not head.check()
    time.sleep(0.1)
    assert not head.check()
    assert capsys.readouterr().err == (
        "warning: the Ray cluster's head (127.0.0.1) does not answer: it is waited for 30 s\n"
    )
    with socket.create_server(place):
        time.sleep(0.1)
        assert head.check()
    monkeypatch.setattr(ray_cluster, "SILENT_SECONDS", 0.0)
    with pytest.raises(BneckError, match=r"head \(127\.0\.0\.1\) is lost; run the same command"):
        head.check()


def test_the_head_is_that_of_the_ray_that_the_program_has_connected_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The address is another one's, which was asked instead and found to be lost."""
    import ray

    from bneck.executors.ray import on_ray

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    ray.init("local", num_cpus=1, include_dashboard=False, logging_level="ERROR")
    capsys.readouterr()
    try:
        with closing(on_ray(f"ray://127.0.0.1:{port}", 1)) as executor:
            assert list(executor.map_unordered(tasks.square, [3])) == [(3, 9)]
    finally:
        ray.shutdown()
    assert capsys.readouterr().err == ""


def test_a_cluster_of_another_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address was said to have no cluster, and the versions were cut off."""
    import ray
    from ray._private.utils import check_version_info

    from bneck.executors.ray_cluster import connect

    theirs = {"ray_version": "2.50.0", "python_version": "3.12.1"}
    monkeypatch.setattr(ray, "init", lambda *_, **__: check_version_info(theirs, "this node"))
    ours = rf"Ray: {re.escape(ray.__version__)} Python: 3"
    with pytest.raises(
        UsageError, match=rf"^auto needs .*: .* Ray: 2\.50\.0 Python: 3\.12\.1 .* {ours}"
    ):
        connect("auto", None)


def test_a_head_that_is_gone_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray knows its address still, and would try for a quarter of an hour."""
    import ray

    from bneck.executors.ray_cluster import connect

    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray was asked to connect"))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        place = f"127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", place)
    with pytest.raises(UsageError, match=r"^no Ray cluster answers at [\d.]+:\d+ \(.*; start one"):
        connect("auto", None)
    monkeypatch.setenv("RAY_ADDRESS", f"ray://{place}")
    with pytest.raises(UsageError, match=rf"^no Ray .* at ray://{place} \(.*; is it up"):
        connect("auto", None)


@pytest.mark.slow
def test_losses_are_told_by_the_pool_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ray printed 700 characters for each to stdout, though its logs were not asked for."""
    with closing(open_executor(1, ray="local")) as executor:
        ((_, outcome),) = executor.map_unordered(tasks.Traced(tmp_path), ["dies"])
    assert isinstance(outcome, Failed)
    assert outcome.reason.endswith(", 3 times")
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_the_autoscaler_of_a_cluster_elsewhere_is_asked_and_let_go_of(cluster) -> None:
    """Ray's own function ended a command that was connected as a client."""
    from ray._private.ray_constants import AUTOSCALER_RESOURCE_REQUEST_CHANNEL
    from ray._raylet import GcsClient

    done = subprocess.run(
        driver_of(cluster.client, 0, 1), cwd=HERE, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    kept = GcsClient(address=cluster.address).internal_kv_get(
        AUTOSCALER_RESOURCE_REQUEST_CHANNEL, None
    )
    assert kept == b"[]"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "workers", "together"),
    [("auto", 0, ()), ("auto", 1, ()), ("client", 0, ()), ("client", 1, ("together",))],
)
def test_a_cluster_whose_head_is_lost_ends_the_command_with_one_line(
    cluster, how: str, workers: int, together: tuple[str, ...]
) -> None:
    """Ray ended it after a minute in which no Ctrl-C was heard, or looked for another cluster.

    A second executor uses the connection of the first one, whose address it did not know.
    """
    address = cluster.client if how == "client" else how
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    with started(driver_of(address, workers, 600, *together), cwd=HERE, **pipes) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "at work\n", driver.communicate()[1]
        cluster.remove_node(cluster.head_node, allow_graceful=False)
        _, said = driver.communicate(timeout=300)
    assert driver.returncode == 1, said
    lost = r"bneck: the Ray cluster's head \([\d.]+\) is lost; run the same command to resume, on "
    assert re.match(lost, said.splitlines()[-1]), said
    assert "Traceback" not in said
