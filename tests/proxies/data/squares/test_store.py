"""Where sets of squares lie: room, lists, removal, and two processes at once."""

import errno
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bneck.cli import run
from bneck.errors import BneckError
from bneck.locks import lock_file, locked
from bneck.proxies.data.squares.store import all_squares, remove, squares_folder
from tests.command_line import json_of
from tests.processes import wait_until_opened
from tests.proxies.data.squares.loaded import loaded


def test_a_set_that_was_given_up_is_listed_and_removed(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(what: str, done: int, total: int, note: str = "") -> None:
        if what == "decoding images":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loaded(pictures, progress=stop)
    (pictures / "a" / "0.png").touch()  # from here on, another set
    made = loaded(pictures).train.store
    assert [one.place for one in all_squares()] == [made]
    listed = json_of(capsys, "images")
    (begun,) = listed["unfinished"]
    assert begun["folder"] == str(pictures)
    assert begun["parts"] == {"train": 80}
    assert Path(begun["squares"]).name.endswith(".partial")
    assert run(["images"]) == 0
    assert f"{begun['squares']} (not finished)" in capsys.readouterr().out
    removed = json_of(capsys, "images", pictures, "--remove")["removed"]
    assert removed == [str(made), begun["squares"]]
    assert [one.name for one in squares_folder().iterdir()] == ["by-fingerprint"]


@pytest.mark.parametrize("after", range(7))
def test_a_set_whose_removal_was_killed_is_removed_by_the_next_one(
    pictures: Path, capsys: pytest.CaptureFixture[str], after: int
) -> None:
    """Squares without their index were neither listed nor removed, at up to 200 GB."""
    place = loaded(pictures).train.store
    assert place is not None
    killed = f"""
import os, sys
from pathlib import Path
from bneck.proxies.data.squares.store import remove
left = {after}
def hook(event, arguments):
    global left
    if event in ("os.remove", "os.rename", "os.rmdir"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
sys.addaudithook(hook)
remove(Path(sys.argv[1]))"""
    command = [sys.executable, "-c", killed, str(place)]
    assert subprocess.run(command, check=False).returncode == -9
    removed = json_of(capsys, "images", pictures, "--remove")["removed"]
    assert {one.removesuffix(".partial") for one in removed} == {str(place)}
    left = [one for one in squares_folder().iterdir() if not one.name.endswith(".lock")]
    assert [one.name for one in left] == ["by-fingerprint"]


def test_squares_that_cannot_be_removed_are_said(pictures: Path) -> None:
    place = loaded(pictures).train.store
    assert place is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        with pytest.raises(BneckError, match=f"cannot remove {place}: Permission denied"):
            remove(place)
    assert len(all_squares()) == 1


def test_a_set_that_two_remove_at_once_is_removed(pictures: Path) -> None:
    place = loaded(pictures).train.store
    assert place is not None
    with ThreadPoolExecutor(2) as threads:
        with locked(place):
            both = [threads.submit(remove, place) for _ in range(2)]
            wait_until_opened(lock_file(place), 3)
        for one in both:
            one.result()
    assert [one.name for one in squares_folder().iterdir()] == ["by-fingerprint"]


def refuse(path: Path) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


@pytest.mark.parametrize("pointer", [b"\xff", b"a\0b", b""])
def test_a_pointer_that_makes_no_sense_is_passed_over(pictures: Path, pointer: bytes) -> None:
    info = loaded(pictures).info
    (squares_folder() / "by-fingerprint" / info.fingerprint).write_bytes(pointer)
    assert loaded(pictures, fingerprint=info.fingerprint).info == info


def test_a_disk_without_room_is_said_before_it_starts(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    needed = 80 * 3 * 16**2
    for free in (1000, needed, needed + 64 * 2**20 - 1):  # 64 MB are left free
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        with pytest.raises(
            BneckError, match=r"need 61\.4 kB in .*BNECK_CACHE names another folder"
        ):
            loaded(pictures)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed + 64 * 2**20))
    assert loaded(pictures).info.training == 64
    monkeypatch.undo()


def test_the_size_is_said_before_it_starts(pictures: Path) -> None:
    said: list[tuple[int, str]] = []
    loaded(
        pictures,
        progress=lambda what, done, total, note="": (
            what != "decoding images" or said.append((done, note))
        ),
    )
    assert said[0] == (0, f"61.4 kB into {squares_folder()}")


def test_a_cache_that_cannot_be_written_is_said(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNECK_CACHE", str(pictures / "a" / "0.png"))
    with pytest.raises(BneckError, match=r"cannot write the 61\.4 kB of squares .*BNECK_CACHE"):
        loaded(pictures)


def test_a_second_process_waits_for_the_first(pictures: Path) -> None:
    script = (
        "from bneck.proxies.data.loading import load\n"
        f"print(load('folder:{pictures}', resolution_px=16).info.fingerprint)\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = {process.communicate()[0].strip() for process in both}
    assert said == {loaded(pictures).info.fingerprint}
    assert len(all_squares()) == 1
