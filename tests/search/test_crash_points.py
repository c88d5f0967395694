"""A search that dies at any write, sync or rename ends with the trials of one that did not."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bneck.executors.serial import Serial
from bneck.search.trial_attributes import read_records
from tests.search import driver

EVALUATIONS = 6
CALLS = ("fsync", "rename", "replace", "truncate")


def run(folder: Path, evaluations: int = EVALUATIONS) -> None:
    driver.run(folder, driver.faulty, Serial(), evaluations=evaluations)


def trials(folder: Path) -> list[tuple[object, float | None, str | None]]:
    records = read_records(folder / "journal.log", driver.SPACE)
    return [(record.arch, record.reward, record.error) for record in records]


def dies(folder: Path, at: int, when: str) -> bool:
    """Run in a process that ends at one of the calls; False if the search ended before."""
    if (child := os.fork()) == 0:
        left = at

        def dying(call: Callable) -> Callable:
            def called(*arguments: Any, **more: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0 and when == "before":
                    os._exit(9)
                done = call(*arguments, **more)
                if left == 0:
                    os._exit(9)
                return done

            return called

        for name in CALLS:
            setattr(os, name, dying(getattr(os, name)))
        run(folder)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


@pytest.mark.parametrize("when", ["before", "after"])
def test_every_crash_point_gives_the_same_trials(tmp_path: Path, when: str) -> None:
    run(tmp_path / "whole")
    whole = trials(tmp_path / "whole")
    assert len(whole) == EVALUATIONS
    call = 1
    while dies(folder := tmp_path / str(call), call, when):
        run(folder)
        assert trials(folder) == whole
        call += 1
    assert call > EVALUATIONS


def test_a_write_cut_anywhere_gives_the_same_trials(tmp_path: Path) -> None:
    run(tmp_path / "whole", 4)
    whole, content = trials(tmp_path / "whole"), (tmp_path / "whole/journal.log").read_bytes()
    for length in range(0, len(content), 397):
        folder = tmp_path / str(length)
        folder.mkdir()
        (folder / "journal.log").write_bytes(content[:length])
        run(folder, 4)
        assert trials(folder) == whole
