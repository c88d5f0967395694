"""What is said of a set of images before anything is trained on it."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from bneck.proxies.data import folder
from bneck.proxies.data.image_source import in_memory
from bneck.proxies.data.loading import load
from bneck.proxies.data.summary import warnings
from tests.proxies.data.pictures import draw, notes


@pytest.mark.parametrize(
    ("count", "said"), [(5, "on 2 images only, .* standard error of 28 points"), (300, None)]
)
def test_a_set_too_small_to_choose_by_says_its_standard_error(
    tmp_path: Path, count: int, said: str | None
) -> None:
    draw(tmp_path, "a", "b", count=5 * count // 4, side=8)
    found = " ".join(notes(tmp_path))
    assert ("compares networks" in found) == (said is not None)
    assert said is None or re.search(said, found), found


def test_imbalance_and_absent_classes_are_named(tmp_path: Path) -> None:
    draw(tmp_path, "a", "b", count=40, side=8)
    draw(tmp_path, "rare", count=1, side=8, seed=1)
    found = " ".join(notes(tmp_path))
    assert "classes that are not" in found
    assert "classes are imbalanced: " in found


@pytest.mark.parametrize(
    ("sizes", "said"),
    [((75, 25), set()), ((76, 25), {"imbalanced"}), ((74, 25), {"compares networks on 99 images"})],
)
def test_where_imbalance_and_too_few_images_begin(sizes: tuple[int, int], said: set[str]) -> None:
    """More than three times as many, and fewer than a hundred."""
    generator = torch.Generator().manual_seed(0)

    def part(*sizes: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.tensor([label for label, size in enumerate(sizes) for _ in range(size)])
        pixels = torch.randint(256, (len(labels), 3, 8, 8), generator=generator, dtype=torch.uint8)
        return pixels, labels

    found = " ".join(warnings(in_memory("x", "ab", part(*sizes), part(20, 20))))
    known = {"imbalanced", "compares networks on 99 images"}
    assert {one for one in known if one in found} == said


@pytest.mark.parametrize(("side_px", "resolution_px"), [(40, 32), (40, 224), (300, None)])
def test_images_that_are_large_enough_or_enlarged_as_asked_are_not_said(
    tmp_path: Path, side_px: int, resolution_px: int | None
) -> None:
    draw(tmp_path, "a", "b", count=2, side=16)
    draw(tmp_path, "c", count=2, side=side_px)
    info = load(f"folder:{tmp_path}", resolution_px=resolution_px).info
    assert "enlarged" not in " ".join(info.warnings)


def test_images_of_several_sizes_that_are_enlarged_by_default_are_said(tmp_path: Path) -> None:
    """Those of one size are not: their own side is the default."""
    draw(tmp_path, "a", "b", count=2, side=36)
    assert load(f"folder:{tmp_path}").info.resolution_px == 36
    draw(tmp_path, "c", count=2, side=40)
    info = load(f"folder:{tmp_path}").info
    assert info.resolution_px == 224
    assert info.warnings[0] == (
        "all images are enlarged to 224 px, as those of several sizes are without --resolution: "
        "their shorter sides are up to 40 px; fewer pixels train faster"
    )


def test_sides_of_a_sample_are_said_to_be_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of six images the first and the fifth are looked at; the largest is neither."""
    draw(tmp_path, "a", "b", count=2, side=36)
    draw(tmp_path, "c", count=2, side=40)
    Image.new("RGB", (300, 300)).save(tmp_path / "a" / "1.png")
    monkeypatch.setattr(folder, "_SAMPLE", 2)
    info = load(f"folder:{tmp_path}").info
    assert info.summary.endswith("sides 36 to 40 px in a sample of 2")
    assert info.warnings[0].startswith("all images in a sample of 2 are enlarged to 224 px, as")


def test_dark_and_constant_sets_are_said(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(8):
            image = Image.new("RGB", (16, 16))
            image.putpixel((number, ord(name) % 8), (200, 0, 0))
            image.save(tmp_path / name / f"{number}.png")
    assert any("nearly black" in note for note in notes(tmp_path))
