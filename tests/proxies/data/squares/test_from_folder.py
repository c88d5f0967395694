"""Squares of a folder of images: made once, found again, and resumed after a kill."""

import errno
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bneck import records
from bneck.errors import BneckError, UsageError
from bneck.proxies.data import folder
from bneck.proxies.data.squares import decode_pool, from_folder
from bneck.proxies.data.squares.decode_worker import Job, decode_chunk
from bneck.proxies.data.squares.store import all_squares, squares_folder
from bneck.proxies.data.worker_images import WorkerImages, whole
from tests.proxies.data.pictures import draw
from tests.proxies.data.squares.killed import kill_loading
from tests.proxies.data.squares.loaded import loaded


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


def test_workers_share_what_the_driver_prepared(pictures: Path) -> None:
    info = loaded(pictures).info
    images = WorkerImages(f"folder:{pictures}", 16, 16, seed=0, fingerprint=info.fingerprint)
    shutil.move(pictures / "a", pictures / "gone")  # the folder itself is not read again
    assert whole(images).info.fingerprint == info.fingerprint


def test_a_machine_with_other_images_is_named(pictures: Path) -> None:
    images = WorkerImages(f"folder:{pictures}", 16, 16, seed=0, fingerprint="0" * 16)
    with pytest.raises(BneckError, match="holds other images than the run began with"):
        whole(images)
