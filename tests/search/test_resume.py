"""A driver that is killed, and started again, loses nothing but what was under way."""

import random
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bneck.search.trial_attributes import read_records
from tests.contracts.tasks import all_end
from tests.processes import started
from tests.search import driver

REPOSITORY = Path(__file__).resolve().parents[2]


def searching(folder: Path, *asked: object) -> AbstractContextManager["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.search.driver", str(folder), *map(str, asked)]
    return started(command, cwd=REPOSITORY)


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
    ("kills", "sampler", "workers", "evaluations"),
    [
        (2, "random", 1, 50),
        pytest.param(20, "tpe", 1, 200, marks=pytest.mark.slow),
        pytest.param(20, "random", 2, 200, marks=pytest.mark.slow),
    ],
)
def test_a_killed_search_ends_as_if_it_had_not_been(
    tmp_path: Path, kills: int, sampler: str, workers: int, evaluations: int
) -> None:
    chance = random.Random(f"{kills} {sampler} {workers}")
    kept = []
    for _ in range(kills):
        share = evaluations // (kills + 1)
        with searching(tmp_path, sampler, workers, evaluations) as search:
            killed_somewhere(search, tmp_path, chance.randint(1, share), chance.uniform(0, 0.05))
        assert all_end({int(trace.suffix[1:]) for trace in traces(tmp_path)})
        now = read_records(tmp_path / "journal.log", driver.SPACE)
        assert all(record in now for record in kept)
        kept = now
    with searching(tmp_path, sampler, workers, evaluations) as search:
        assert search.wait() == 0
    records = read_records(tmp_path / "journal.log", driver.SPACE)
    assert len(records) == len({record.arch for record in records}) == evaluations
    assert all(record.accuracy == driver.accuracy(record.arch) for record in records)
    assert len(traces(tmp_path)) <= evaluations + kills * driver.PARALLEL
