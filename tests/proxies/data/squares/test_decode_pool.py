"""Processes that decode images."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bneck.errors import UsageError
from bneck.proxies.data.squares import decode_pool, decode_worker, from_folder
from bneck.proxies.data.squares.decode_worker import Job, as_line
from bneck.proxies.data.squares.store import all_squares, squares_folder
from tests.proxies.data.squares.loaded import loaded


def test_processes_decode_what_this_process_decodes(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = loaded(pictures)
    shutil.rmtree(squares_folder())
    monkeypatch.setattr(decode_pool, "MIN_CHUNKS", 1)
    monkeypatch.setattr(decode_pool, "cores", lambda: 2)
    monkeypatch.setattr(from_folder, "CHUNK", 16)
    again = loaded(pictures)
    assert again.info == before.info
    assert again.train.squares.equal(before.train.squares)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Pillow leaves such a file open
@pytest.mark.parametrize("processes", [1, 2])
def test_a_file_that_the_system_withholds_is_not_kept_as_a_bad_image(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    """The system says of memory that nobody has mapped what it says of a failing disk."""
    monkeypatch.setattr(decode_pool, "MIN_CHUNKS", 1)
    monkeypatch.setattr(decode_pool, "cores", lambda: processes)
    withheld = pictures / "b" / "999.png"
    withheld.symlink_to("/proc/self/mem")
    for skip in (False, True):
        with pytest.raises(UsageError, match=f"^cannot read {withheld}: Input/output error$"):
            loaded(pictures, skip_unreadable=skip)
    assert all_squares() == []


def test_the_terminals_signals_do_not_reach_what_decodes(pictures: Path) -> None:
    """Nor while it starts, when Python would answer Ctrl-C by a traceback."""
    process = decode_pool._start(Job(str(pictures), str(pictures / "squares.u8"), 16, {}))
    try:
        assert os.getsid(process.pid) != os.getsid(0)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("told", [b"", b'{"root": ', None], ids=["nothing", "a part", "all"])
def test_what_decodes_ends_in_silence_where_its_driver_is_killed(
    pictures: Path, tmp_path: Path, told: bytes | None
) -> None:
    """Each process printed a traceback: of the answer that nobody reads, or of a part of a line."""
    squares = tmp_path / "squares.u8"
    squares.touch()
    job = {"root": str(pictures), "squares": str(squares), "side_px": 16, "white": {}}
    whole = as_line(job) + as_line({"start": 0, "files": []})
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as answers:
        ended = subprocess.run(
            [sys.executable, "-m", decode_worker.__name__],
            input=whole if told is None else told,
            stdout=answers,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert ended.stderr == b""
