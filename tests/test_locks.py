"""Who holds a lock, and where its file may lie."""

import fcntl
import os
from pathlib import Path
from threading import Event, Thread

import pytest

from bneck.locks import lock_file, locked
from tests.processes import wait_until_opened


def test_a_lock_is_not_taken_through_a_link_nor_waited_for_at_a_pipe(tmp_path: Path) -> None:
    lock_file(tmp_path / "kit.json").symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match="symbolic links"), locked(tmp_path / "kit.json"):
        pass
    assert not (tmp_path / "theirs").exists()
    os.mkfifo(lock_file(tmp_path / "other.json"))
    with locked(tmp_path / "other.json"):
        pass


def test_who_waited_for_a_lock_that_was_removed_holds_the_one_that_others_find(
    tmp_path: Path,
) -> None:
    place, held, done = tmp_path / "made", Event(), Event()

    def hold() -> None:
        with locked(place):
            held.set()
            done.wait()

    waiting = Thread(target=hold)
    with locked(place):
        waiting.start()
        wait_until_opened(lock_file(place), 2)
        lock_file(place).unlink()
    held.wait()
    try:
        with lock_file(place).open("rb") as found, pytest.raises(BlockingIOError):
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        done.set()
        waiting.join()
