"""The same picture twice is counted, and never on both sides of a split."""

import shutil
from pathlib import Path

import pytest
import torch

from bneck.proxies.data.loading import load
from bneck.proxies.data.rows import hold_out, stratified_order
from tests.proxies.data.pictures import draw


def notes(folder: Path, seed: int = 0) -> tuple[str, ...]:
    return load(f"folder:{folder}", resolution_px=32, seed=seed).info.warnings


def test_a_split_keeps_equal_pictures_together(tmp_path: Path) -> None:
    draw(tmp_path, "a", "b", count=30)
    for number in range(15):
        shutil.copy(tmp_path / "a" / f"{number}.png", tmp_path / "a" / f"copy{number}.png")
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
    for number in range(3):
        shutil.copy(tmp_path / f"train/a/{number}.png", tmp_path / f"val/a/copy{number}.png")
    shutil.copy(tmp_path / "train/a/4.png", tmp_path / "train/b/4.png")
    said = notes(tmp_path)
    assert said[0].startswith("3 of 13 validation images are the same pictures as training images")
    assert said[1] == "1 pictures are the same in more than one class"


@pytest.mark.parametrize(
    ("count", "said"),
    [(5, "compared on 10 images only: .* standard error of 13 points"), (300, None)],
)
def test_a_set_too_small_to_choose_by_says_its_standard_error(
    tmp_path: Path, count: int, said: str | None
) -> None:
    draw(tmp_path, "a", "b", count=5 * count // 4, side=8)
    found = " ".join(notes(tmp_path))
    assert ("compared on" in found) == (said is not None)


def test_imbalance_and_absent_classes_are_named(tmp_path: Path) -> None:
    draw(tmp_path, "a", "b", count=40, side=8)
    draw(tmp_path, "rare", count=1, side=8, seed=1)
    found = " ".join(notes(tmp_path))
    assert "classes that are not" in found
    assert "classes are imbalanced: " in found


def test_dark_and_constant_sets_are_said(tmp_path: Path) -> None:
    from PIL import Image

    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(8):
            image = Image.new("RGB", (16, 16))
            image.putpixel((number, ord(name) % 8), (200, 0, 0))
            image.save(tmp_path / name / f"{number}.png")
    assert any("nearly black" in note for note in notes(tmp_path))
