"""What counts as written, and with which rights."""

import errno
import fcntl
import os
from pathlib import Path
from threading import Event, Thread

import pytest

from bneck.errors import BneckError, UsageError
from bneck.files import (
    cache_folder,
    check_beside,
    check_new_file,
    check_new_folder,
    is_written,
    lock_file,
    locked,
    sha256,
    short_sha256,
    write_json,
)
from tests.processes import wait_until_opened


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
    assert cache_folder() == Path.home() / ".cache" / "bneck"


def test_where_no_folder_can_be_is_said_before_there_is_anything_to_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "linked").symlink_to(tmp_path)
    for place in ("file", "loop", "gone"):
        for name in (place, f"{place}/below", f"{place}/far/below"):
            with pytest.raises(UsageError, match=f"{place} is a (file, not a folder|link that)"):
                check_new_folder(tmp_path / name)
    for name in ("new", "new/below", "linked", "linked/new"):
        check_new_folder(tmp_path / name)
    check_new_file(tmp_path / "gone")  # the link is replaced, as any file is
    assert {path.name for path in tmp_path.iterdir()} == {"file", "loop", "gone", "linked"}


def test_a_file_takes_the_place_of_no_device() -> None:
    """Renamed over /dev/null by root, it would take it from all programs."""
    with pytest.raises(UsageError, match=r"^/dev/null is no regular file: name another$"):
        check_new_file(Path("/dev/null"))


def test_a_file_of_anothers_is_not_replaced_by_what_is_written_beside_one(tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").touch()
    with pytest.raises(UsageError, match=r"net\.safetensors would be replaced: name another file"):
        check_beside(tmp_path / "net.py", ".safetensors")
    check_beside(tmp_path / "other.py", ".safetensors")
    (tmp_path / "net.py").touch()  # both are of an earlier export
    check_beside(tmp_path / "net.py", ".safetensors")
    (tmp_path / "net.safetensors").unlink()
    (tmp_path / "net.safetensors").mkdir()
    with pytest.raises(UsageError, match=r"net\.safetensors is a folder: name a file"):
        check_beside(tmp_path / "net.py", ".safetensors")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(BneckError, match=r"^/.* is not writable"):
        check_new_file(tmp_path / "new" / "x.onnx")
