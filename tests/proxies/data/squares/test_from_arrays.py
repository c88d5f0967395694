"""Arrays as a file of squares: the same images as in memory, made once, shared by workers."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bneck.proxies.data import loading
from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_part import ImagePart
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.proxies.data.squares import from_arrays
from bneck.proxies.data.squares.store import all_squares, squares_folder
from bneck.proxies.data.worker_images import WorkerImages, whole
from tests.proxies.data.squares.killed import kill_loading


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Pictures of 40 x 36 px in 12 bits, some twice, in two parts."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 4096, (90, 40, 36, 3), dtype=np.uint16)
    pixels[80:85] = pixels[:5]
    labels = np.arange(90) % 3
    names = np.array(["a", "b", "c"])
    np.savez(
        tmp_path / "photos.npz",
        x_train=pixels[:60], y_train=labels[:60], x_test=pixels[60:], y_test=labels[60:],
        class_names=names,
    )  # fmt: skip
    return tmp_path / "photos.npz"


def read_again(file: Path) -> None:
    raise AssertionError(f"{file} is read again")


def both(spec: str, monkeypatch: pytest.MonkeyPatch, side: int) -> tuple[ImageSource, ImageSource]:
    """The set in memory, and in a file of squares."""
    in_memory = load(spec, resolution_px=side)
    assert all_squares() == []
    monkeypatch.setattr(from_arrays, "IN_MEMORY_BYTES", 3 * side**2 * 7)  # chunks of 7
    return in_memory, load(spec, resolution_px=side)


def assert_equal(one: ImageSource, other: ImageSource) -> None:
    assert replace(one.info, fingerprint="") == replace(other.info, fingerprint="")
    for a, b in ((one.train, other.train), (one.val, other.val)):
        assert torch.equal(a.pixels(), b.pixels())
        assert torch.equal(a.labels, b.labels)
        assert torch.equal(a.contents, b.contents)


@pytest.mark.parametrize("side", [32, 36])
def test_an_archive_is_the_same_images_in_memory_and_in_squares(
    archive: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    in_memory, in_squares = both(f"npz:{archive}", monkeypatch, side)
    assert in_squares.train.store == all_squares()[0].place
    assert in_memory.info == in_squares.info
    assert_equal(in_memory, in_squares)
    assert_equal(in_memory.for_search(3), in_squares.for_search(3))
    assert_equal(in_memory.for_search(3).resized(16), in_squares.for_search(3).resized(16))
    batches = (Batches(images.for_training(), 16, 5) for images in (in_memory, in_squares))
    for (x, labels), (y, others) in zip(*([each[0], each[3]] for each in batches), strict=True):
        assert torch.equal(x, y)
        assert torch.equal(labels, others)


def test_workers_that_begin_together_resize_once_and_map_one_file(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, images = both(f"npz:{archive}", monkeypatch, 36)
    written: list[Path] = []
    write = ImagePart._write_resized

    def slowly(part: ImagePart, file: Path, side_px: int) -> None:
        written.append(file)
        time.sleep(0.2)  # so that all have begun
        write(part, file, side_px)

    monkeypatch.setattr(ImagePart, "_write_resized", slowly)
    with ThreadPoolExecutor(4) as workers:
        views = [*workers.map(lambda side_px: images.train.resized(side_px), [16] * 4)]
    assert len(written) == 1
    assert all(torch.equal(view.pixels(), views[0].pixels()) for view in views)


def test_grey_digits_that_are_not_flipped_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory, in_squares = both("digits", monkeypatch, 8)
    assert not in_squares.info.flip
    assert in_memory.info == in_squares.info
    assert_equal(in_memory, in_squares)
    (one,) = all_squares()
    assert (one.index.folder, one.index.count) == ("digits", 1797)


def test_squares_of_an_archive_are_made_once_and_again_when_it_changes(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def heard(what: str, done: int, total: int, note: str = "") -> None:
        said.append(note)

    monkeypatch.setattr(from_arrays, "IN_MEMORY_BYTES", 1)
    before = load(f"npz:{archive}", progress=heard)
    assert f"349.9 kB into {squares_folder()}" in said
    monkeypatch.setattr(loading, "load_npz", read_again)
    said.clear()
    assert load(f"npz:{archive}", progress=heard).info == before.info
    assert "36 px; pixels scaled from 0 to 4095" in said[0]
    archive.touch()
    with pytest.raises(AssertionError):
        load(f"npz:{archive}")


def test_an_archive_told_by_content_is_found_whatever_its_time(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_arrays, "IN_MEMORY_BYTES", 1)
    before = load(f"npz:{archive}", by_content=True)
    monkeypatch.setattr(loading, "load_npz", read_again)
    archive.touch()
    assert load(f"npz:{archive}", by_content=True).info == before.info


def test_workers_map_what_the_driver_wrote(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_arrays, "IN_MEMORY_BYTES", 1)
    info = load(f"npz:{archive}", resolution_px=32).info
    archive.unlink()  # it is not read again
    images = WorkerImages(f"npz:{archive}", 32, 32, seed=0, fingerprint=info.fingerprint)
    assert whole(images).train.store == all_squares()[0].place


def test_a_kill_leaves_no_half_set(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = "from_arrays.IN_MEMORY_BYTES = 3 * 32**2 * 7"
    kill_loading(f"npz:{archive}", 32, "writing images", made_small=small)
    assert all_squares() == []
    assert_equal(*both(f"npz:{archive}", monkeypatch, 32))
    assert len(all_squares()) == 1
