"""Files of squares: made once, whole or not at all, found again, and never trusted when torn."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bneck import records
from bneck.cli import run
from bneck.errors import BneckError, UsageError
from bneck.locks import lock_file, locked
from bneck.proxies.data import folder
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.proxies.data.squares import decode_pool, from_folder
from bneck.proxies.data.squares.decode_worker import Job, decode_chunk
from bneck.proxies.data.squares.store import all_squares, remove, squares_folder
from bneck.proxies.data.worker_images import WorkerImages, whole
from tests.command_line import json_of
from tests.processes import wait_until_opened
from tests.proxies.data.pictures import draw
from tests.proxies.data.squares.killed import kill_loading


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    draw(tmp_path, "a", "b", count=40, side=16)
    return tmp_path


def loaded(place: Path, **more: object) -> ImageSource:
    return load(f"folder:{place}", resolution_px=16, **more)  # type: ignore[arg-type]


def test_squares_are_the_pictures_and_are_made_once(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = loaded(pictures)
    for label, name in enumerate("ab"):
        theirs = {
            np.asarray(Image.open(file)).tobytes() for file in (pictures / name).glob("*.png")
        }
        ours = [
            part.pixels()[part.labels == label].permute(0, 2, 3, 1).contiguous().numpy()
            for part in (images.train, images.val)
        ]
        assert {one.tobytes() for part in ours for one in part} == theirs
    monkeypatch.setattr(from_folder, "decoded_chunks", None)
    assert loaded(pictures).info == images.info
    (pictures / "a" / "0.png").touch()
    with pytest.raises(TypeError):  # another time: decoded anew
        loaded(pictures)


def test_files_told_by_content_are_found_whatever_their_times(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = loaded(pictures, by_content=True).info
    monkeypatch.setattr(from_folder, "decoded_chunks", None)
    (pictures / "a" / "0.png").touch()
    assert loaded(pictures, by_content=True).info == info


def test_a_change_that_size_and_time_do_not_show_is_found_by_content(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path_factory.mktemp("cache")))
    one, other = (pictures / "a" / f"{number}.bmp" for number in range(2))
    for number, file in enumerate((one, other)):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(file)
    before = {known: loaded(pictures, by_content=known).info for known in (False, True)}
    times = one.stat()
    one.write_bytes(other.read_bytes())
    os.utime(one, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert loaded(pictures).info == before[False]
    changed = loaded(pictures, by_content=True).info
    assert changed.fingerprint != before[True].fingerprint


def test_a_class_folder_that_vanishes_is_other_images(pictures: Path) -> None:
    draw(pictures, "c", count=3, side=16, seed=1)
    kept = records.to_json(loaded(pictures).info)
    shutil.rmtree(pictures / "c")
    assert not loaded(pictures).info.is_what(kept)
    shutil.rmtree(pictures / "b")
    with pytest.raises(UsageError, match=r"at least 2 folders of images.*found one \(a\)"):
        loaded(pictures)


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


def test_it_resumes_after_a_kill(pictures: Path) -> None:
    small = "from_folder.CHUNK = 16"
    kill_loading(f"folder:{pictures}", 16, "decoding images", made_small=small)
    assert all_squares() == []
    (partial,) = squares_folder().glob("*.partial")
    with (partial / "chunks.jsonl").open("a") as journal:
        journal.write('{"start": 32, "dig')  # a line that was cut off
    counts: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(from_folder, "CHUNK", 16)
        resumed = loaded(
            pictures,
            progress=lambda what, done, total, note="": what == "images" or counts.append(done),
        )
    assert counts[:2] == [32, 48]  # two chunks were done before
    shutil.rmtree(squares_folder())
    assert loaded(pictures).info == resumed.info


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


@pytest.mark.parametrize("spoil", ["squares.u8", "chunks.jsonl"])
def test_a_partial_set_that_was_spoilt_is_decoded_where_it_was(pictures: Path, spoil: str) -> None:
    before = loaded(pictures)
    (one,) = all_squares()
    partial = one.place.rename(one.place.with_name(f"{one.place.name}.partial"))
    start = {"start": 0, "digests": "ff" * 16 * from_folder.CHUNK, "bad": []}
    (partial / "chunks.jsonl").write_text(json.dumps(start) + "\n")
    if spoil == "squares.u8":
        os.truncate(partial / spoil, 100)
    else:
        (partial / spoil).write_text("[]\n" + json.dumps(start))
    assert loaded(pictures).info == before.info


def test_squares_that_a_power_loss_took_are_decoded_again(pictures: Path) -> None:
    """The line of their chunk has stayed."""
    pixels = loaded(pictures).train.squares.clone()
    (one,) = all_squares()
    chunk = {"start": 0, "digests": one.digests()[: from_folder.CHUNK].tobytes().hex(), "bad": []}
    partial = one.place.rename(one.place.with_name(f"{one.place.name}.partial"))
    (partial / "chunks.jsonl").write_text(json.dumps(chunk) + "\n")
    with (partial / "squares.u8").open("r+b") as file:
        file.write(bytes(3 * 16**2))
    assert loaded(pictures).train.squares.equal(pixels)


@pytest.mark.parametrize("name", ["squares.u8", "labels.npy", "index.json"])
def test_a_torn_file_is_made_again(pictures: Path, name: str) -> None:
    before = loaded(pictures)
    (one,) = all_squares()
    os.truncate(one.place / name, 100)
    assert all_squares() == []
    assert loaded(pictures).info == before.info


def flipped(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 8
    file.write_bytes(content)


@pytest.mark.parametrize("place", [1, 6, 12, 20, 40])
@pytest.mark.parametrize("name", ["labels.npy", "digests.npy"])
def test_a_file_with_a_damaged_header_is_made_again(pictures: Path, name: str, place: int) -> None:
    before = loaded(pictures)
    (one,) = all_squares()
    flipped(one.place / name, place)
    assert all_squares() == []
    assert loaded(pictures).info == before.info


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_that_no_class_has_are_made_again(pictures: Path, label: int) -> None:
    before = loaded(pictures)
    (one,) = all_squares()
    labels = one.labels()
    labels[3] = label
    np.save(one.place / "labels.npy", labels)
    assert all_squares() == []
    assert loaded(pictures).info == before.info


@pytest.mark.parametrize(
    "change",
    [
        {"side_px": 1e308},
        {"side_px": "../.."},
        {"side_px": -16},
        {"parts": {"train": {"-1": "x"}}},
        {"parts": {"train": -80}},
        {"parts": {"other": 80}},
        {"parts": {}},
        {"class_names": "ab"},
        {"class_names": [["a"], "b"]},
        {"bad": {"80": "x"}},
        {"bad": {"-1": "x"}},
        {"bad": []},
        {"white": 3},
        {"white": {"16-bit": "x"}},
        {"flip": 1},
        {"note": []},
    ],
)
def test_an_index_that_makes_no_sense_is_made_again(
    pictures: Path, change: dict[str, object]
) -> None:
    before = loaded(pictures)
    (one,) = all_squares()
    index = one.place / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | change))
    assert all_squares() == []
    assert loaded(pictures).info == before.info


def test_names_of_other_files_are_said_to_be_damaged(pictures: Path) -> None:
    loaded(pictures)
    (one,) = all_squares()
    (one.place / "names.txt").write_bytes(b"")
    with pytest.raises(BneckError, match=r"names\.txt is damaged: remove .*, which is made again"):
        one.names()


@pytest.mark.parametrize("pointer", [b"\xff", b"a\0b", b""])
def test_a_pointer_that_makes_no_sense_is_passed_over(pictures: Path, pointer: bytes) -> None:
    info = loaded(pictures).info
    (squares_folder() / "by-fingerprint" / info.fingerprint).write_bytes(pointer)
    assert loaded(pictures, fingerprint=info.fingerprint).info == info


@pytest.mark.parametrize("change", [{"bad": 3}, {"bad": [["x", "y"]]}, {"white": [1]}])
def test_a_partial_set_that_remembers_nonsense_is_decoded_again(
    pictures: Path, change: dict[str, object]
) -> None:
    before = loaded(pictures)
    (one,) = all_squares()
    chunk = {"start": 0, "digests": one.digests()[: from_folder.CHUNK].tobytes().hex(), "bad": []}
    partial = one.place.rename(one.place.with_name(f"{one.place.name}.partial"))
    (partial / "chunks.jsonl").write_text(json.dumps(chunk | change) + "\n")
    assert loaded(pictures).info == before.info


def test_another_version_is_made_again(pictures: Path) -> None:
    before = loaded(pictures)
    (one,) = all_squares()
    index = one.place / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"version": 0}))
    assert loaded(pictures).info == before.info


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


def test_a_disk_that_fills_up_is_said_and_what_was_decoded_is_kept(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(job: Job, start: int, files: Sequence[str]) -> dict[str, object]:
        if start >= 32:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return decode_chunk(job, start, files)

    monkeypatch.setattr(from_folder, "CHUNK", 16)
    monkeypatch.setattr(decode_pool, "decode_chunk", full)
    with pytest.raises(BneckError, match=r"cannot write the 61\.4 kB .*: No space left on device"):
        loaded(pictures)
    monkeypatch.setattr(decode_pool, "decode_chunk", decode_chunk)
    counts: list[int] = []
    loaded(
        pictures,
        progress=lambda what, done, total, note="": (
            what != "decoding images" or counts.append(done)
        ),
    )
    assert counts[0] == 32


def test_a_cache_that_cannot_be_written_is_said(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNECK_CACHE", str(pictures / "a" / "0.png"))
    with pytest.raises(BneckError, match=r"cannot write the 61\.4 kB of squares .*BNECK_CACHE"):
        loaded(pictures)


def test_files_that_are_not_images_are_named_or_passed_over(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        (pictures / "a" / f"note{number}.png").write_text("no image")
    with pytest.raises(UsageError, match=r"note0.png \(not an image\).*and 1 more"):
        loaded(pictures)
    with pytest.raises(UsageError, match="more than 1 % of 84 files are not passed over"):
        loaded(pictures, skip_unreadable=True)
    monkeypatch.setattr(folder, "UNREADABLE_SHARE", 4 / 84)
    images = loaded(pictures, skip_unreadable=True)
    assert images.info.training + images.info.validation == 80
    said = (
        "; 4 unreadable files passed over: a/note0.png (not an image), a/note1.png (not an image)"
    )
    assert said in images.info.summary
    assert not any("note0" in warning for warning in images.info.warnings)  # a card repeats them
    assert all_squares()[0].class_counts() == {"a": {"train": 40}, "b": {"train": 40}}


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


def test_workers_share_what_the_driver_prepared(pictures: Path) -> None:
    info = loaded(pictures).info
    images = WorkerImages(f"folder:{pictures}", 16, 16, seed=0, fingerprint=info.fingerprint)
    shutil.move(pictures / "a", pictures / "gone")  # the folder itself is not read again
    assert whole(images).info.fingerprint == info.fingerprint


def test_a_machine_with_other_images_is_named(pictures: Path) -> None:
    images = WorkerImages(f"folder:{pictures}", 16, 16, seed=0, fingerprint="0" * 16)
    with pytest.raises(BneckError, match="holds other images than the run began with"):
        whole(images)


def test_resized_views_are_mapped_and_equal_those_in_memory(pictures: Path) -> None:
    images = loaded(pictures)
    view = images.for_search(0).resized(8)
    assert len(list(all_squares()[0].place.glob("resized-*-8.u8"))) == 2
    held = replace(images.for_search(0).train, store=None).resized(8)
    assert view.train.pixels().equal(held.pixels())


def test_a_view_that_is_resized_again_takes_no_file_of_other_images(pictures: Path) -> None:
    """Files are named by rows of the store's squares, and its own rows are numbered anew."""
    train = loaded(pictures).train
    rows = torch.arange(len(train))
    plain = replace(train, rows=rows).resized(8)
    backwards = replace(train, rows=rows.flip(0))
    again = backwards.resized(12).resized(8)
    in_memory = replace(backwards, store=None)
    held = in_memory.resized(12).resized(8)
    assert not torch.equal(again.pixels(), plain.pixels())
    assert torch.equal(again.pixels(), held.pixels())
    replace(train, rows=rows).statistics()
    assert backwards.resized(8).statistics() == in_memory.resized(8).statistics()


@pytest.mark.parametrize("content", [b"", b"5", b"[[1, 2], [3]]", b'[["a", 1, 1], [1, 1, 1]]'])
def test_statistics_that_make_no_sense_are_counted_again(pictures: Path, content: bytes) -> None:
    info = loaded(pictures).info
    for file in all_squares()[0].place.glob("statistics-*.json"):
        file.write_bytes(content)
    assert loaded(pictures).info == info


def test_a_resized_view_that_is_cut_short_is_made_again(pictures: Path) -> None:
    train = loaded(pictures).train
    held = replace(train, store=None).resized(8)
    train.resized(8)
    (file,) = all_squares()[0].place.glob("resized-*-8.u8")
    os.truncate(file, 100)
    assert train.resized(8).pixels().equal(held.pixels())


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
