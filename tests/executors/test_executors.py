"""What the user may ask of an executor, and what is said where it cannot be had."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest

from bneck.errors import BneckError, UsageError
from bneck.executors import NotYet, open_executor
from bneck.executors.pool import WorkerPool
from bneck.executors.processes import Process, Processes, _serve, processes
from bneck.executors.reserved import Reserved
from bneck.executors.serial import Serial
from bneck.executors.together import Together
from bneck.machine import cores
from tests.contracts import tasks
from tests.processes import started

pytestmark = pytest.mark.usefixtures("forks_have_torch")


def test_one_worker_needs_no_process_unless_it_may_have_to_be_stopped() -> None:
    assert isinstance(open_executor(1), Serial)
    assert isinstance(open_executor(1, time_limit_s=60), WorkerPool)
    assert open_executor(3).workers == 3
    assert open_executor().workers == cores()  # which a container may grant fewer of


@pytest.mark.parametrize(
    ("device", "machine", "workers"),
    [("cpu", 16, 16), ("cuda", 16, 8), ("cuda", 6, 6), ("auto", 16, 8), ("cuda:1", 16, 4)],
)
def test_at_most_four_workers_share_each_of_two_gpus(
    monkeypatch: pytest.MonkeyPatch, device: str, machine: int, workers: int
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("bneck.executors.cores", lambda: machine)
    assert open_executor(device=device).workers == workers


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"workers": 0}, "workers must be a whole number from 1 to 10000, got 0"),
        ({"time_limit_s": 0.0}, "time-limit must be above 0 s, got 0"),
        ({"time_limit_s": float("nan")}, "time-limit must be above 0 s, got nan"),
        ({"reserved": Reserved(gpus=1.0)}, "--gpus-per-trial needs --ray"),
        ({"reserved": Reserved(cpus=2.0)}, "--cpus-per-trial needs --ray"),
    ],
)
def test_nonsense_is_named(asked: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        open_executor(**asked)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "address", ["nonsense", "ray://", "ray://host", "http://host:1", "ray://h:1/x"]
)
def test_an_address_that_is_none_is_named(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match=r"ray must be auto, local or ray://HOST:PORT, got '"):
        open_executor(ray=address)


def test_a_cluster_that_does_not_answer_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without Ray, which would try for half a minute."""
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray was asked to connect"))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(UsageError, match=rf"no Ray cluster answers at ray://127.0.0.1:{port} \("):
        open_executor(ray=f"ray://127.0.0.1:{port}")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_process_outlives_its_driver(tmp_path: Path, how: signal.Signals) -> None:
    driver = driver_of("None", tmp_path)
    task = tasks.Traced(tmp_path)
    workers = task.processes()
    assert len(workers) == 2
    os.killpg(driver.pid, how)  # as the terminal does it: to the workers too
    driver.wait()
    assert tasks.all_end(workers)


def driver_of(ray: str, folder: Path) -> subprocess.Popen:
    """A process that has two workers in the middle of an evaluation."""
    code = (
        "from pathlib import Path\n"
        "from bneck.executors import open_executor\n"
        "from tests.contracts.tasks import Traced\n"
        f"executor = open_executor(2, ray={ray})\n"
        f"list(executor.map_unordered(Traced(Path({str(folder)!r})), ['hangs', 'hangs-too']))\n"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    task = tasks.Traced(folder)
    while not (task.tries("hangs") and task.tries("hangs-too")):
        assert driver.poll() is None
        time.sleep(0.02)
    return driver


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_worker_whose_driver_is_gone_before_it_has_started_says_nothing(
    method: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """As where Ctrl-C comes while it starts: a traceback followed the driver's one line."""
    context = get_context(method)
    ours, theirs = context.Pipe()
    worker = context.Process(target=_serve, args=(theirs, dict(os.environ), tuple(sys.path), {}))
    ours.close()
    worker.start()
    theirs.close()
    worker.join()
    assert worker.exitcode == 0
    assert "Traceback" not in capfd.readouterr().err


def test_workers_find_modules_where_the_driver_does(tmp_path: Path) -> None:
    """As in a notebook, which looks in its working directory, after ``%cd`` to a project."""
    (tmp_path / "own.py").write_text("def double(number):\n    return 2 * number\n")
    code = (
        "import os, multiprocessing; from bneck.executors.processes import processes\n"
        f"os.chdir({str(tmp_path)!r}); from own import double\n"
        "executor = processes(1); print(*executor.map_unordered(double, [21])); executor.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(21, 42)\n", done.stderr


@pytest.mark.slow
def test_no_ray_outlives_its_driver(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    driver = driver_of("'local'", tmp_path)
    workers = tasks.Traced(tmp_path).processes()
    family = workers | tasks.descendants(driver.pid)
    driver.kill()
    driver.wait()
    assert tasks.all_end(workers)
    assert tasks.all_end(family, seconds=150)  # Ray's agents try for a minute to report it


@pytest.mark.slow
def test_sigterm_ends_a_command_that_works_on_ray_as_any_other(tmp_path: Path) -> None:
    """Ray puts a handler of its own in place of the command's, which ends it without a word."""
    pytest.importorskip("ray")
    code = (
        "from contextlib import closing\n"
        "from bneck import cli\n"
        "from bneck.commands import app\n"
        "from bneck.executors import open_executor\n"
        "from tests.contracts.tasks import sleep\n"
        "def call(arguments):\n"
        "    with closing(open_executor(1, ray='local')) as executor:\n"
        "        print('at work', flush=True)\n"
        "        list(executor.map_unordered(sleep, [600]))\n"
        "app.call = call\n"
        "cli.main()\n"
    )
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    folder = Path(__file__).resolve().parents[2]
    with started([sys.executable, "-c", code], cwd=folder, **pipes) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "at work\n"
        family = tasks.descendants(driver.pid)
        driver.terminate()
        _, said = driver.communicate()
    assert driver.returncode == 143
    assert said.splitlines()[-1] == "bneck: ended by SIGTERM; run the same command to resume"
    assert "Traceback" not in said
    # Ray gives its own processes a second before it kills them; agents then try for a minute.
    assert tasks.all_end(family, seconds=150)


@pytest.mark.slow
def test_ctrl_c_as_ray_shuts_down_is_obeyed_when_it_has(tmp_path: Path) -> None:
    """Cut short there, it ended the process without a word as soon as an object was let go of."""
    pytest.importorskip("ray")
    code = (
        "import inspect, linecache, signal, sys\n"
        "from contextlib import closing\n"
        "import ray\n"
        "from bneck import cli\n"
        "from bneck.commands import app\n"
        "from bneck.executors import open_executor\n"
        "shutdown = inspect.unwrap(ray.shutdown).__code__\n"
        "def trace(frame, event, _):\n"
        "    if frame.f_code is shutdown:\n"
        "        line = linecache.getline(shutdown.co_filename, frame.f_lineno)\n"
        "        if event == 'line' and 'del global_worker.core_worker' in line:\n"
        "            sys.settrace(None)\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "        return trace\n"
        "def call(arguments):\n"
        "    with closing(open_executor(1, ray='local')):\n"
        "        kept = ray.put(1)\n"
        "        sys.settrace(trace)\n"
        "app.call = call\n"
        "cli.main()\n"
    )
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    folder = Path(__file__).resolve().parents[2]
    with started([sys.executable, "-c", code], cwd=folder, **pipes) as driver:
        _, said = driver.communicate()
    assert said.splitlines()[-1:] == ["bneck: interrupted; run the same command to resume"], said
    assert "Traceback" not in said
    assert driver.returncode == 130


def test_a_machine_without_room_for_a_worker_is_named() -> None:
    """Here the room for open files and pipes has run out."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with closing(processes(1, environments=[{"PLACE": "a"}])) as executor:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), before[1]))
        try:
            with pytest.raises(BneckError, match=r"no worker can be started: OSError: .*Too many"):
                list(executor.map_unordered(tasks.square, [3]))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_third_worker_that_is_lost_before_it_can_work_ends_the_work(tmp_path: Path) -> None:
    with closing(processes(1)) as executor:
        for _ in range(2):  # what was lost before does not count
            before = len(list(tmp_path.iterdir()))
            with pytest.raises(BneckError, match=r"no worker can be started: .* exit code 7"):
                list(executor.map_unordered(tasks.DiesLoading(tmp_path), [1]))
            assert len(list(tmp_path.iterdir())) == before + 3
            assert list(executor.map_unordered(tasks.square, [3])) == [(3, 9)]


@pytest.mark.parametrize("kind", ["pool", "together"])
def test_workers_that_start_slowly_are_waited_for_and_said_so_once(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process of Python alone takes longer than these 5 ms."""
    monkeypatch.setattr(f"bneck.executors.{kind}.START_SECONDS", 0.005)
    workers = Processes(2, [{"PLACE": "a"}, {"PLACE": "b"}])
    opened = WorkerPool(workers, 2) if kind == "pool" else Together(workers, 2)
    with closing(opened) as executor:
        assert dict(executor.map_unordered(tasks.square, [3])) == {3: 9}
    assert capsys.readouterr().err == (
        "warning: workers have not started within 0.005 s, but run: they are waited for\n"
    )


@pytest.mark.parametrize("kind", ["pool", "together"])
def test_workers_that_have_no_room_to_start_end_the_work(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a cluster, which does not say whether a worker runs yet."""
    monkeypatch.setattr(f"bneck.executors.{kind}.START_SECONDS", 0.005)
    monkeypatch.setattr(Process, "is_running", lambda _: False)
    workers = Processes(1, [{"PLACE": "a"}])
    opened = WorkerPool(workers, 1) if kind == "pool" else Together(workers, 1)
    with closing(opened) as executor, pytest.raises(BneckError, match=r"0\.005 s: no free CPU or"):
        list(executor.map_unordered(tasks.square, [3]))


def test_an_executor_may_be_closed_twice() -> None:
    with closing(open_executor(2)) as executor:
        assert list(executor.map_unordered(tasks.square, [3])) == [(3, 9)]
        executor.close()


class Shrinking(Processes):
    """A cluster with room for two workers, then for one; only the first comes up at once."""

    fit, first_alone = 2, True

    def room(self, wanted: int) -> int:
        return self.fit

    def wait(self, workers: Sequence[Process], seconds: float | None) -> Sequence[Process]:
        waited_for = [one for one in workers if one is self._by_place[0] or not self.first_alone]
        return super().wait(waited_for, seconds)

    @property
    def processes(self) -> list[Process]:
        return [one for one in self._by_place if one is not None]


class Growing(Processes):
    """A cluster of one worker that grows to what is wanted, up to three."""

    fit = 1

    def room(self, wanted: int) -> int:
        self.fit = max(self.fit, min(wanted, 3))
        return self.fit


def test_a_cluster_grows_for_items_that_wait_for_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of an eager search do. Three must meet, so one result would come too late."""
    monkeypatch.setattr("bneck.executors.pool.ROOM_SECONDS", 0.0)

    def items() -> Iterator[Path | NotYet]:
        for number in range(3):
            while number >= pool.workers:
                yield NotYet(3 - number)
            yield tmp_path / f"{number}.met"

    with closing(WorkerPool(Growing(3), None)) as pool:
        assert [met for _, met in pool.map_unordered(tasks.meet_two_others, items())] == [3, 3, 3]


def test_workers_that_still_start_hold_nothing_once_all_rest() -> None:
    cluster = Shrinking(2)
    with closing(WorkerPool(cluster, None)) as pool:
        assert sorted(pool.map_unordered(tasks.square, [1, 2])) == [(1, 1), (2, 4)]
        assert [one.is_running() for one in cluster.processes] == [True, True]
        pool.rest()
        assert [one.is_running() for one in cluster.processes] == [False, False]


def test_items_wait_for_workers_that_start_where_there_is_room_for_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bneck.executors.pool.ROOM_SECONDS", 0.0)
    cluster = Shrinking(2)
    with closing(WorkerPool(cluster, None)) as pool:
        assert sorted(pool.map_unordered(tasks.square, [1, 2])) == [(1, 1), (2, 4)]
        pool._stop(pool._idle)  # and the other still starts
        cluster.fit, cluster.first_alone = 1, False
        assert sorted(pool.map_unordered(tasks.square, [3, 4])) == [(3, 9), (4, 16)]
