"""The same picture twice is counted, and never on both sides of a split."""

import shutil
from pathlib import Path

import pytest
import torch

from bneck.errors import UsageError
from bneck.proxies.data.loading import load
from bneck.proxies.data.row_order import hold_out, stratified_order
from bneck.proxies.data.worker_images import WorkerImages, for_proxies, whole
from tests.proxies.data.pictures import draw, notes


def test_a_split_keeps_equal_pictures_together(tmp_path: Path) -> None:
    draw(tmp_path, "a", "b", count=30)
    copy(tmp_path, "a", "a", count=15)
    for seed in range(5):
        images = load(f"folder:{tmp_path}", resolution_px=32, seed=seed)
        for view in (images, images.for_search(seed)):
            assert not torch.isin(view.val.contents, view.train.contents).any()
    assert images.info.training + images.info.validation == 75
    assert any("15 images are duplicates of other images" in note for note in notes(tmp_path))


def test_without_duplicates_a_fifth_is_the_beginning_of_the_stratified_order() -> None:
    labels = torch.arange(100) % 3
    chosen, kept = hold_out(labels, 1, torch.arange(100).flip(0))
    assert torch.cat([chosen, kept]).tolist() == stratified_order(labels, 1).tolist()
    assert len(chosen) == 20


def test_pictures_in_two_parts_or_classes_are_said(tmp_path: Path) -> None:
    draw(tmp_path, "train/a", "train/b", "val/a", "val/b")
    copy(tmp_path, "train/a", "val/a", count=3)
    shutil.copy(tmp_path / "train/a/4.png", tmp_path / "train/b/4.png")
    said = notes(tmp_path)
    assert said[0] == (
        "3 of 13 validation images are the same pictures as training images; 3 training images are "
        "left out for that reason"
    )
    assert said[1] == "1 picture is the same in more than one class"


def test_one_picture_of_two_parts_is_said_in_the_singular(tmp_path: Path) -> None:
    draw(tmp_path, "train/a", "train/b", "val/a", "val/b")
    copy(tmp_path, "train/a", "val/a", count=1)
    info = load(f"folder:{tmp_path}", resolution_px=32).info
    assert info.warnings[:2] == (
        "1 of 11 validation images is the same picture as training images; 1 training image is "
        "left out for that reason",
        "1 image is a duplicate of another image; where images are held out, the same pictures "
        "stay on one side",
    )
    assert "; left out: 1 training image that is also in another part" in info.summary


def copy(folder: Path, source: str, to: str, count: int) -> None:
    for number in range(count):
        shutil.copy(folder / source / f"{number}.png", folder / to / f"copy{number}.png")


def test_pictures_that_judge_are_not_trained_on(tmp_path: Path) -> None:
    """Those of a user's val/ and test/ stay; training images, then val, go without them."""
    draw(tmp_path, *(f"{part}/{name}" for part in ("train", "val", "test") for name in "ab"))
    copy(tmp_path, "val/a", "train/a", count=3)
    copy(tmp_path, "test/b", "train/a", count=1)  # in another class, and in place of a copy
    copy(tmp_path, "test/b", "val/b", count=2)
    images = load(f"folder:{tmp_path}", resolution_px=32)
    info = images.info
    assert (info.training, info.validation, info.test) == (13, 12, 10)
    assert (info.training_left_out, info.validation_left_out) == (3, 2)
    assert "left out: 3 training and 2 validation images that are also in" in info.summary
    trained = images.for_training()
    assert (len(trained.train), len(trained.val)) == (10, 10)
    assert trained.test is images.test
    for view in (trained, images.for_search(0)):
        for other in (view.val, images.test):
            assert other is not None
            assert not view.train.shared_with([other]).any()
    assert not images.for_search(0).val.shared_with([images.test]).any()
    worker = WorkerImages(f"folder:{tmp_path}", 32, 32, 0, fingerprint=info.fingerprint)
    assert whole(worker).info.fingerprint == trained.info.fingerprint
    searched = images.for_search(0).subset(seed=0)
    assert for_proxies(worker).info.fingerprint == searched.info.fingerprint


def test_a_search_holds_out_no_picture_of_the_final_validation_images(tmp_path: Path) -> None:
    draw(tmp_path, "train/a", "train/b", "val/a", "val/b", count=10)
    copy(tmp_path, "val/a", "train/a", count=10)
    images = load(f"folder:{tmp_path}", resolution_px=32)
    searched = images.for_search(0)
    assert len(searched.train) + len(searched.val) == 20 == images.info.trained_on
    assert not images.val.shared_with([searched.train, searched.val]).any()


def test_a_set_that_leaves_nothing_to_train_on_is_refused_where_it_trains(tmp_path: Path) -> None:
    draw(tmp_path, "train/a", "train/b")
    draw(tmp_path, "val/a", "val/b")  # the same pictures
    images = load(f"folder:{tmp_path}", resolution_px=32)
    with pytest.raises(UsageError, match="all training images are the same pictures as validation"):
        images.for_training()


def test_a_class_whose_training_images_all_judge_is_named(tmp_path: Path) -> None:
    draw(tmp_path, "train/a", "train/b", "val/a", "val/b")
    for number in range(5):
        shutil.copy(tmp_path / f"val/b/{number}.png", tmp_path / f"train/b/{number}.png")
    assert "classes that are not trained on: b" in notes(tmp_path)
