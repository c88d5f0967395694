"""What counts as written, and with which rights."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bneck.errors import BneckError, UsageError
from bneck.files import cache_folder, is_written, sha256, short_sha256, write_json, write_with
from tests.processes import opened_as


@pytest.mark.parametrize(
    ("name", "content", "written"),
    [
        ("a.json", b"{}", True),
        ("a.json", b"", False),
        ("a.json", b"\n \n", False),
        ("a.json", b"\0" * 5000, False),
        ("a.jsonl", b'{"a": 1}\n', True),
        ("a.jsonl", b'{"a": 1', False),
        ("a.jsonl", b"\n\n", False),
        ("a.jsonl", b'{"a": 1}\n{"b', True),
        ("a.safetensors", b"\0" * 20, False),
    ],
)
def test_an_empty_or_torn_file_is_as_good_as_none(
    tmp_path: Path, name: str, content: bytes, written: bool
) -> None:
    (tmp_path / name).write_bytes(content)
    assert is_written(tmp_path / name) is written


def test_the_digest_is_that_of_the_standards_example(tmp_path: Path) -> None:
    """FIPS 180-2; checksums and fingerprints of earlier versions hold such digests."""
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert short_sha256(tmp_path / "a") == "ba7816bf8f01"


def test_what_is_not_a_file_is_not_written(tmp_path: Path) -> None:
    assert not is_written(tmp_path / "none.json")
    assert not is_written(tmp_path)
    (tmp_path / "file").touch()
    assert not is_written(tmp_path / "file" / "below.json")


def test_a_file_is_there_with_its_content_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a.json", float("nan"))
    (tmp_path / "taken").mkdir()
    with pytest.raises(BneckError, match=r"cannot write .*taken"):
        write_json(tmp_path / "taken", {})
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_name_as_long_as_the_system_takes_is_written_whole(tmp_path: Path) -> None:
    """Of three bytes a character: what is added to it meanwhile must not be too much."""
    file = tmp_path / ("漢" * 83 + ".json")
    write_json(file, 1)
    assert file.read_text() == "1\n"


KILLED = """import os, sys
from pathlib import Path
from bneck.files import write_with
write_with(Path(sys.argv[1]), lambda file: os.kill(os.getpid(), 9))"""


def test_what_a_killed_write_left_goes_with_the_next_one(tmp_path: Path) -> None:
    """In any folder; a run's is looked through when the run is opened."""
    file = tmp_path / "cpu.json"
    for one in (file, tmp_path / "other.json"):
        assert subprocess.run([sys.executable, "-c", KILLED, str(one)]).returncode == -9
    (tmp_path / ".cpu.json.lock").touch()
    write_json(file, 1)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == 3
    assert left[0] == ".cpu.json.lock"
    assert left[1].startswith(".other.json.")
    assert left[2] == "cpu.json"


def test_what_another_process_is_writing_stays(tmp_path: Path) -> None:
    file = tmp_path / "cpu.json"

    def write(temporary: Path) -> None:
        write_json(file, "theirs")
        temporary.write_text("ours")

    write_with(file, write)
    assert file.read_text() == "ours"
    assert [path.name for path in tmp_path.iterdir()] == ["cpu.json"]


def test_what_another_machine_is_writing_stays(tmp_path: Path) -> None:
    """Where machines share a folder, the locks of its files may not reach each other."""
    file = tmp_path / "cpu.json"
    subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False)
    (left,) = tmp_path.iterdir()
    machine, number = left.name[-12:-8], left.name[-8:]
    theirs = left.rename(tmp_path / f".cpu.json.{int(machine, 16) ^ 1:04x}{number}")
    write_json(file, 1)
    assert {*tmp_path.iterdir()} == {file, theirs}


def test_what_cannot_be_removed_keeps_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "cpu.json"
    subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False)
    (left,) = tmp_path.iterdir()
    for number in range(8):  # some of which are come upon before it
        (tmp_path / f"{left.name[:-8]}{number:08x}").mkdir()
    write_json(file, 1)
    assert [one for one in tmp_path.iterdir() if one.is_file()] == [file]


def test_a_file_is_locked_for_writing_while_it_is_written(tmp_path: Path) -> None:
    """NFS locks no other."""

    def write(temporary: Path) -> None:
        (mode,) = opened_as(temporary)
        assert mode == os.O_RDWR
        temporary.write_text("1")

    write_with(tmp_path / "cpu.json", write)


def test_a_read_only_disk_is_said_of_the_file_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for method in ("touch", "unlink"):  # such a disk refuses to remove even what is not there
        monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(BneckError, match=r"cannot write .*/report.json: Read-only file system$"):
        write_json(tmp_path / "report.json", {})


def test_the_cache_of_a_user_without_a_home_folder_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BNECK_CACHE", "~no-such-user/cache")
    with pytest.raises(UsageError, match=r"^no home folder for ~no-such-user/cache: BNECK_CACHE"):
        cache_folder()
    monkeypatch.setenv("BNECK_CACHE", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "bneck"


def test_the_cache_is_where_the_systems_caches_are_unless_only_an_older_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, older = tmp_path / "caches" / "bneck", tmp_path / ".cache" / "bneck"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(usual.parent))
    monkeypatch.delenv("BNECK_CACHE")
    assert cache_folder() == usual
    older.mkdir(parents=True)
    assert cache_folder() == older
    usual.mkdir(parents=True)
    assert cache_folder() == usual
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")  # to be ignored, by the specification
    assert cache_folder() == older
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
