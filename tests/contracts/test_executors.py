"""What every executor keeps to: the same results, each item once, and a reason for each failure."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bneck.errors import BneckError, UsageError
from bneck.executors import NOT_YET, Executor, Failed, NotYet, open_executor
from bneck.executors.processes import Processes, processes
from bneck.executors.serial import Serial
from bneck.search.trial_attributes import read_records
from tests.contracts import tasks
from tests.search import driver

# Ray leaves its own files and sockets to the interpreter's end.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
    pytest.mark.usefixtures("forks_have_torch"),
]

KINDS = ("serial", "processes", "ray")

# For what only an executor with processes of its own can survive.
elsewhere = pytest.mark.parametrize("kind", KINDS[1:], indirect=True, scope="module")


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "ray":
        request.getfixturevalue("ray_started")
    return request.param


def opened(kind: str, workers: int = 2, time_limit_s: float | None = None) -> Executor:
    if kind == "serial":
        return Serial()
    if kind == "processes":
        return processes(workers, time_limit_s=time_limit_s)
    from bneck.executors.ray import on_ray

    return on_ray("auto", workers, time_limit_s=time_limit_s)


@pytest.fixture(scope="module")
def executor(kind: str) -> Iterator[Executor]:
    """Two workers that all tests of a kind share: what one does to them must not harm the next."""
    executor = opened(kind)
    yield executor
    executor.close()


def test_results_are_those_of_a_plain_loop_and_each_item_comes_once(executor: Executor) -> None:
    items = [3, 1, 2, 3, 5, 8, 1]
    pairs = list(executor.map_unordered(tasks.square, items))
    assert sorted(pairs) == sorted((item, item * item) for item in items)
    assert list(executor.map_unordered(tasks.square, [])) == []
    assert list(executor.map_unordered(tasks.square, [7])) == [(7, 49)]


@elsewhere
def test_workers_are_as_many_as_asked_and_load_once(executor: Executor) -> None:
    assert executor.workers == 2
    results = [dict(executor.map_unordered(tasks.worker, range(6))) for _ in range(2)]
    loads = {result for part in results for result in part.values()}
    assert len(loads) == len({process for process, _ in loads}) <= 2
    assert os.getpid() not in {process for process, _ in loads}


@elsewhere
def test_workers_have_one_thread_each(executor: Executor) -> None:
    assert dict(executor.map_unordered(tasks.threads, [0])) == {0: ("1", "1", "1")}


def test_a_failure_is_one_line_and_stops_nothing(executor: Executor) -> None:
    outcomes = dict(executor.map_unordered(tasks.fail_on_odd, range(4)))
    assert outcomes == {
        0: 0,
        1: Failed("ProxyFailed: the loss is nan at step 1"),
        2: 2,
        3: Failed("ProxyFailed: the loss is nan at step 3"),
    }


def test_what_the_user_has_to_mend_ends_the_work(executor: Executor) -> None:
    with pytest.raises(UsageError, match="no such folder: /nowhere"):
        list(executor.map_unordered(tasks.refuse, range(4)))
    assert list(executor.map_unordered(tasks.square, [3])) == [(3, 9)]


@pytest.mark.parametrize("failing", [1, 2])
def test_a_machine_that_fails_ends_the_work_and_is_not_a_result(
    executor: Executor, failing: int
) -> None:
    with pytest.raises(BneckError, match="No space left on device"):
        list(executor.map_unordered(tasks.machine_fails, [failing]))
    assert list(executor.map_unordered(tasks.machine_fails, [3])) == [(3, 3)]


def test_a_stream_of_items_may_wait_for_results(executor: Executor) -> None:
    """Each item after the first three is the largest square so far, plus one."""
    results: list[int] = []

    def items() -> Iterator[int | NotYet]:
        yield from (1, 2, 3)
        for known in (3, 4, 5):
            while len(results) < known:
                yield NOT_YET
            yield max(results) + 1

    for _, result in executor.map_unordered(tasks.square, items()):
        results.append(result)
    assert sorted(results) == [1, 4, 9, 10**2, 101**2, 10202**2]


def test_items_are_prepared_while_workers_are_busy(executor: Executor, tmp_path: Path) -> None:
    """All that can be known is asked for before the first result, were it not for one worker."""
    gate, asked = tmp_path / "gate", []
    last = 0 if isinstance(executor, Serial) else 5  # what must be asked for to open the gate

    def items() -> Iterator[int]:
        for number in range(6):
            asked.append(number)
            if number == last:
                gate.touch()
            yield number

    results = executor.map_unordered(tasks.Gated(gate), items())
    next(results)
    assert asked == list(range(last + 1))
    assert len(list(results)) == 5


@elsewhere
def test_ctrl_c_and_a_closed_terminal_reach_the_driver_alone(executor: Executor) -> None:
    found = dict(executor.map_unordered(tasks.terminal_signals_ignored, range(8)))
    if isinstance(executor._kind, Processes):  # Ray's workers have no terminal
        assert list(found.values()) == [[True, True]] * 8


def test_a_task_cannot_end_its_worker_or_the_driver_by_raising(executor: Executor) -> None:
    assert dict(executor.map_unordered(tasks.exhaust_memory, [0])) == {0: Failed("MemoryError")}
    assert dict(executor.map_unordered(tasks.leave, [3])) == {3: Failed("SystemExit: 3")}


@elsewhere
def test_a_result_that_cannot_travel_is_a_failure(executor: Executor) -> None:
    ((_, outcome),) = executor.map_unordered(tasks.unpicklable, [0])
    # Ray's own pickle carries functions.
    assert callable(outcome) or outcome.reason.startswith("its result cannot travel: ")


@elsewhere
def test_what_cannot_travel_as_a_server_is_down_is_a_failure(executor: Executor) -> None:
    """It was taken for a lost worker, and on Ray for a lost head."""
    items = [0, tasks.NotReceived()]
    outcomes = [outcome for _, outcome in executor.map_unordered(tasks.not_sent, items)]
    assert len(outcomes) == len(items)
    for outcome in outcomes:
        assert outcome.reason.endswith(": no database")


@elsewhere
def test_a_worker_killed_is_replaced_and_its_item_tried_again(
    executor: Executor, tmp_path: Path
) -> None:
    task = tasks.Traced(tmp_path)
    outcomes = list(executor.map_unordered(task, ["a", "dies-once", "b"]))
    assert sorted(outcomes) == [("a", "a"), ("b", "b"), ("dies-once", "dies-once")]
    assert task.tries("dies-once") == 2
    assert task.tries("a") == task.tries("b") == 1


@elsewhere
def test_an_item_that_kills_every_worker_fails_alone(executor: Executor, tmp_path: Path) -> None:
    task = tasks.Traced(tmp_path)
    outcomes = dict(executor.map_unordered(task, ["a", "dies", "b", "c"]))
    failed = outcomes.pop("dies")
    assert outcomes == {"a": "a", "b": "b", "c": "c"}
    assert failed.reason.startswith("its worker was ")
    assert failed.reason.endswith(", 3 times")
    assert "\n" not in failed.reason
    assert [task.tries(item) for item in ("a", "dies", "b", "c")] == [1, 3, 1, 1]


@elsewhere
def test_an_item_that_ends_its_workers_gpu_fails_alone(executor: Executor, tmp_path: Path) -> None:
    outcomes = dict(executor.map_unordered(tasks.Traced(tmp_path), ["a", "ends-gpu", "b", "c"]))
    failed = outcomes.pop("ends-gpu")
    assert outcomes == {"a": "a", "b": "b", "c": "c"}
    assert failed.reason.endswith(
        "cuda:0 answers no more: CUDA error: an illegal memory access, 3 times"
    )


def test_a_gpu_that_is_lost_in_the_driver_ends_the_work(tmp_path: Path) -> None:
    with pytest.raises(BneckError, match=r"^cuda:0 answers no more: CUDA error"):
        list(Serial().map_unordered(tasks.Traced(tmp_path), ["a", "ends-gpu", "b"]))


@elsewhere
def test_the_time_limit_is_for_each_item_and_stops_it_alone(kind: str, tmp_path: Path) -> None:
    task = tasks.Traced(tmp_path)
    limited = opened(kind, 1, time_limit_s=1.5)
    with closing(limited):
        assert list(limited.map_unordered(tasks.sleep, [0.4] * 5)) == [(0.4, 0.4)] * 5
        outcomes = dict(limited.map_unordered(task, ["a", "hangs", "b"]))
    assert outcomes.pop("hangs") == Failed("stopped at the time limit of 1.5 s")
    assert outcomes == {"a": "a", "b": "b"}
    assert task.tries("hangs") == 1
    assert tasks.all_end(task.processes())


@elsewhere
def test_a_time_limit_may_be_longer_than_the_system_can_wait(kind: str) -> None:
    with closing(opened(kind, 1, time_limit_s=1e12)) as limited:
        assert list(limited.map_unordered(tasks.square, [3])) == [(3, 9)]


@elsewhere
def test_what_a_task_loads_first_is_not_timed_but_must_be_there(kind: str) -> None:
    with closing(opened(kind, 1, time_limit_s=1)) as limited:
        outcomes = dict(limited.map_unordered(tasks.Loading(seconds=1.5), [3]))
        assert outcomes == {3: 3}
        with pytest.raises(UsageError, match="no such folder: /nowhere"):
            list(limited.map_unordered(tasks.Loading(seconds=-1), [3]))
        assert list(limited.map_unordered(tasks.square, [3])) == [(3, 9)]


@elsewhere
def test_a_task_may_load_for_longer_than_a_worker_may_take_to_start(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a machine does that decodes a large set of images first."""
    with closing(opened(kind, 1)) as started:
        assert list(started.map_unordered(tasks.square, [3])) == [(3, 9)]
        monkeypatch.setattr("bneck.executors.pool.START_SECONDS", 0.2)
        assert list(started.map_unordered(tasks.Loading(seconds=1.0), [3])) == [(3, 3)]


@elsewhere
def test_ending_early_stops_what_is_under_way(executor: Executor, tmp_path: Path) -> None:
    task = tasks.Traced(tmp_path)
    for _ in executor.map_unordered(task, ["a", "hangs"]):
        while not task.tries("hangs"):
            time.sleep(0.01)
        break
    assert tasks.all_end({int(path.name.split(".")[1]) for path in tmp_path.glob("hangs.*")})
    assert list(executor.map_unordered(tasks.square, [3])) == [(3, 9)]


@elsewhere
def test_a_worker_killed_while_it_waits_costs_nothing(executor: Executor) -> None:
    workers = {process for _, (process, _) in executor.map_unordered(tasks.worker, range(4))}
    for process in workers:
        os.kill(process, 9)
    assert tasks.all_end(workers)
    assert sorted(executor.map_unordered(tasks.square, [2, 3])) == [(2, 4), (3, 9)]


@elsewhere
def test_any_number_of_workers_may_be_killed_while_they_wait(executor: Executor, kind: str) -> None:
    """As where a node is lost between two rounds: neither an item nor what is loaded did it."""
    executor.rest()
    with closing(opened(kind, workers=3)) as started:
        for task in (tasks.worker, tasks.square):  # they have loaded the first
            workers: set[int] = set()
            while len(workers) < 3:
                answers = started.map_unordered(tasks.worker, range(9))
                workers = {process for _, (process, _) in answers}
            for process in workers:
                os.kill(process, 9)
            assert tasks.all_end(workers)
            ((_, outcome),) = started.map_unordered(task, [0])
            assert not isinstance(outcome, Failed)


@elsewhere
def test_idle_workers_lost_as_they_load_the_next_task_count_once(kind: str) -> None:
    with closing(opened(kind, workers=3)) as started:
        workers: set[int] = set()
        while len(workers) < 3:
            workers = {process for _, (process, _) in started.map_unordered(tasks.worker, range(9))}
        task = tasks.DiesLoadingWhereItWorked()
        assert list(started.map_unordered(task, [3])) == [(3, 3)]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_has_the_same_trials_wherever_it_runs(
    executor: Executor, tmp_path: Path, sampler: str
) -> None:
    arguments = {"evaluations": 10, "parallel": 4, "sampler": sampler}
    plain = driver.run(tmp_path / "plain", driver.accuracy, Serial(), **arguments)
    here = driver.run(tmp_path / "here", driver.accuracy, executor, **arguments)
    assert [(r.number, r.arch, r.reward) for r in here] == [
        (r.number, r.arch, r.reward) for r in plain
    ]
    assert read_records(tmp_path / "here" / "journal.log", driver.SPACE) == here


def test_a_search_records_why_networks_failed(executor: Executor, tmp_path: Path) -> None:
    records = driver.run(tmp_path, driver.faulty, executor, evaluations=24, parallel=8)
    assert len(records) == len({record.arch for record in records}) == 24
    faults = [driver.fault_of(record.arch) for record in records]
    assert {"raise", "nan", "none"} <= set(faults)
    for fault, record in zip(faults, records, strict=True):
        assert record.error == (driver.REASONS[fault] if fault in ("raise", "nan") else None)
        assert (record.reward is None) == (record.error is not None)


def test_a_worker_of_ray_sees_no_gpu_but_those_reserved_for_it(ray_started: None) -> None:
    with closing(open_executor(1, ray="auto")) as executor:
        assert [*executor.map_unordered(tasks.shown_gpus, [0])] == [(0, "")]


def test_ray_is_asked_for_by_name_where_it_is_up_already(ray_started: None) -> None:
    with pytest.raises(UsageError, match="ray must be auto, local or ray://HOST:PORT, got 'here'"):
        open_executor(ray="here")
    assert open_executor(ray="auto").workers == 3  # as the fixture started it
    with pytest.raises(UsageError, match=r"^--device cuda needs a GPU, .*: 1 node with 3 CPUs$"):
        open_executor(ray="auto", device="cuda")
