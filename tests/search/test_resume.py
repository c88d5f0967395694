"""A driver that is killed, and started again, loses nothing but what was under way."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bneck.search.trial_attributes import read_records
from tests.contracts.tasks import all_end
from tests.search import driver

EVALUATIONS = 200
REPOSITORY = Path(__file__).resolve().parents[2]


def started(folder: Path, sampler: str, workers: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.search.driver", str(folder), sampler, str(workers)]
    return subprocess.Popen([*command, str(EVALUATIONS)], cwd=REPOSITORY)


def traces(folder: Path) -> list[Path]:
    return list((folder / "traces").glob("*"))


def killed_somewhere(search: subprocess.Popen, folder: Path, further: int, wait_s: float) -> None:
    """Kill -9 once so many more evaluations have begun, and a moment later."""
    objective = len(traces(folder)) + further
    while len(traces(folder)) < objective:
        assert search.poll() is None, "the search ended before it was killed"
        time.sleep(0.002)
    time.sleep(wait_s)
    search.kill()
    search.wait()


@pytest.mark.parametrize(
    ("kills", "sampler", "workers"),
    [
        (3, "random", 1),
        pytest.param(20, "tpe", 1, marks=pytest.mark.slow),
        pytest.param(20, "random", 2, marks=pytest.mark.slow),
    ],
)
def test_a_killed_search_ends_as_if_it_had_not_been(
    tmp_path: Path, kills: int, sampler: str, workers: int
) -> None:
    chance = random.Random(f"{kills} {sampler} {workers}")
    kept = []
    for _ in range(kills):
        search = started(tmp_path, sampler, workers)
        share = EVALUATIONS // (kills + 1)
        killed_somewhere(search, tmp_path, chance.randint(1, share), chance.uniform(0, 0.05))
        assert all_end({int(trace.suffix[1:]) for trace in traces(tmp_path)})
        now = read_records(tmp_path / "journal.log", driver.SPACE)
        assert all(record in now for record in kept)
        kept = now
    assert started(tmp_path, sampler, workers).wait(timeout=300) == 0
    records = read_records(tmp_path / "journal.log", driver.SPACE)
    assert len(records) == len({record.arch for record in records}) == EVALUATIONS
    assert all(record.accuracy == driver.accuracy(record.arch) for record in records)
    assert len(traces(tmp_path)) <= EVALUATIONS + kills * driver.PARALLEL
