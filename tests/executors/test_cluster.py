"""A cluster of three nodes on one machine, where everything goes wrong that can."""

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bneck.errors import BneckError, UsageError
from bneck.executors import Failed
from bneck.executors.reserved import Reserved
from bneck.executors.serial import Serial
from bneck.machine import Compute
from bneck.proxies.data.worker_images import WorkerImages
from bneck.proxies.training.recipe import Recipe
from bneck.search.evaluation import Evaluate
from bneck.search.trial_attributes import read_records
from bneck.space import presets
from tests.contracts import tasks
from tests.search import driver
from tests.search.test_promotion import searched, told

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
]
EVALUATIONS = 30
GIB = 1 << 30
QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        cluster.add_node(num_cpus=1, include_dashboard=False)
        ray.init(cluster.address, **QUIET)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def on_ray(workers: int | None = None, **options):
    from bneck.executors.ray import on_ray as build

    return build("auto", workers, **options)


def test_a_search_outlives_its_nodes_and_workers(cluster, tmp_path: Path) -> None:
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    marks = tmp_path / "marks"
    marks.mkdir()

    def progress(what: str, done: int, total: int, note: str = "") -> None:
        if done == EVALUATIONS // 3:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
        if done == EVALUATIONS // 2:
            cluster.add_node(num_cpus=1)

    with closing(on_ray(time_limit_s=5)) as executor:
        assert executor.workers == 3
        records = driver.run(
            tmp_path, driver.Faulty(marks), executor, evaluations=EVALUATIONS, progress=progress
        )
    assert records == read_records(tmp_path / "journal.log", driver.SPACE)
    assert len(records) == len({record.arch for record in records}) == EVALUATIONS
    faults = {driver.fault_of(record.arch) for record in records}
    assert faults == {"raise", "nan", "hang", "die", "die-once", "none"}
    for record in records:
        fault = driver.fault_of(record.arch)
        if fault in ("none", "die-once"):
            assert record.accuracy == driver.accuracy(record.arch)
        elif fault == "die":
            assert record.error.startswith("its worker was lost: ")
            assert record.error.endswith(", 3 times")
        else:
            assert record.error == driver.REASONS[fault]


def test_a_node_that_joins_gets_its_share_of_what_follows(cluster) -> None:
    """And when it leaves for good, only what ran on it runs again."""
    with closing(on_ray()) as executor:
        assert executor.workers == 1
        where, joined = [], None
        for _, node in executor.map_unordered(tasks.node, [0.2] * 150):
            where.append(node)
            if len(where) == 10:
                joined = cluster.add_node(num_cpus=1)
            if len(where) == 110:
                cluster.remove_node(joined, allow_graceful=False)
    (first, *_), nodes = where, set(where)
    assert len(where) == 150
    assert len(nodes) == 2
    (other,) = nodes - {first}
    begun, ended = where.index(other), 149 - where[::-1].index(other)
    assert where[begun:ended].count(other) >= (ended - begun) // 3
    assert len(where) - ended > 20


def test_an_autoscaler_is_asked_for_what_could_run_and_no_longer(
    cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bneck.executors.pool.ROOM_SECONDS", 0.0)
    asked: list[int] = []
    monkeypatch.setattr(
        "bneck.executors.ray.request_resources", lambda bundles: asked.append(len(bundles))
    )
    with closing(on_ray()) as executor:
        assert len([*executor.map_unordered(tasks.node, [0.1] * 4)]) == 4
        most = asked.index(4)  # an item is taken ahead at a time
        assert asked[: most + 1] == sorted(asked[: most + 1])
        assert asked[most:] == sorted(asked[most:], reverse=True)
        executor.rest()
        assert asked[-1] == 0


def test_promotions_are_the_same_on_a_cluster(cluster, tmp_path: Path) -> None:
    with closing(on_ray()) as executor:
        records = searched(tmp_path / "ray.log", executor, 9)
    assert told(records) == told(searched(tmp_path / "serial.log", Serial(), 9))


def test_what_a_cluster_lacks_is_named(cluster) -> None:
    with pytest.raises(UsageError, match=r"gpus-per-trial is 1, but no node .* has more than 0"):
        on_ray(reserved=Reserved(gpus=1))
    with closing(on_ray(1)) as executor, pytest.raises(UsageError, match=r"node [\d.]+: no such"):
        list(executor.map_unordered(tasks.refuse, [1]))
    with pytest.raises(UsageError, match=r"cpus-per-trial is 2, but no node .* has more than 1"):
        on_ray(reserved=Reserved(cpus=2))


def test_a_cluster_that_others_use_is_waited_for_and_said_so_once(
    cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bneck.executors.pool.ROOM_SECONDS", 0.2)
    with closing(on_ray()) as other, closing(on_ray()) as executor:
        held = other.map_unordered(tasks.square, [2, 3])
        assert next(held) == (2, 4)
        with monkeypatch.context() as patience:
            patience.setattr("bneck.executors.ray.SECONDS_UNTIL_SAID", 0.5)
            patience.setattr("bneck.executors.pool.START_SECONDS", 2.0)
            with pytest.raises(
                BneckError, match="no worker started within 2 s: no free CPU or GPU; run the same"
            ):
                list(executor.map_unordered(tasks.square, [5]))
        other.close()
        assert list(executor.map_unordered(tasks.square, [5])) == [(5, 25)]
    assert capsys.readouterr().err == (
        "warning: no worker has started for 0.5 s; perhaps others use the cluster's CPUs or "
        "GPUs: waiting for up to 600 s\n"
    )


def test_a_node_without_cuda_is_named(cluster) -> None:
    images = WorkerImages("digits", 8, 8, seed=0)
    task = Evaluate(images, "short-training", Recipe(1), seed=0, compute=Compute("cuda", 1))
    arch = presets.build("mobilenet_v3_small")
    with (
        closing(on_ray(1, reserved=Reserved(cpus=0.5))) as executor,
        pytest.raises(
            UsageError,
            match=r"node [\d.]+: device 'cuda': torch .* finds no CUDA on .*--gpus-per-trial",
        ),
    ):
        list(executor.map_unordered(task, [arch]))


def test_a_node_without_bneck_is_named(
    cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "bneck":
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Absent())
"""
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    with (
        closing(on_ray(1, reserved=Reserved(cpus=2))) as executor,
        pytest.raises(BneckError, match=r"can be started: .*No module .*'bneck' \(node [\d.]+\)$"),
    ):
        list(executor.map_unordered(tasks.square, [1]))


def test_an_evaluation_that_exhausts_the_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    total, free = _memory()
    if free < 10 * GIB:
        pytest.skip("needs 10 GiB of free memory")
    monkeypatch.setenv("RAY_memory_usage_threshold", str((total - free + 3 * GIB) / total))
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init("local", num_cpus=1, include_dashboard=False, **QUIET)
    try:
        with closing(on_ray(1, time_limit_s=60)) as executor:
            outcomes = dict(executor.map_unordered(tasks.fill_memory, [6 * GIB, 0]))
    finally:
        ray.shutdown()
    assert outcomes.pop(0) == 0
    (failed,) = outcomes.values()
    assert isinstance(failed, Failed)
    assert "memory" in failed.reason


def _memory() -> tuple[int, int]:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return tuple(int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
