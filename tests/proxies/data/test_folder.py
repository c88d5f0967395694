"""Folders of images: how they are divided, what becomes of each picture, what is refused."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from bneck.errors import UsageError
from bneck.proxies.data import decoding
from bneck.proxies.data.loading import load

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def paint(
    file: Path,
    colour: object,
    size: tuple[int, int] = (40, 30),
    mode: str = "RGB",
    dot: int | None = None,
) -> None:
    """A picture of one colour; those of different dots are different pictures."""
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new(mode, size, colour)
    if dot is not None:
        image.putpixel((size[0] // 3 + dot, size[1] // 2), 99)
    image.save(file)


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    for name, colour in COLOURS.items():
        for number in range(10):
            paint(tmp_path / name / f"{number}.png", colour, dot=number)
    return tmp_path


def test_a_folder_is_split_in_proportion(colours: Path) -> None:
    images = load(f"folder:{colours}", resolution_px=32, seed=0)
    assert images.info.class_names == ("blue", "green", "red")
    assert images.train.labels.bincount().tolist() == [8, 8, 8]
    assert images.val.labels.bincount().tolist() == [2, 2, 2]
    for part, labels in (
        (images.train.pixels(), images.train.labels),
        (images.val.pixels(), images.val.labels),
    ):
        for image, label in zip(part, labels, strict=True):
            colour = COLOURS[images.info.class_names[label]]
            assert image[:, 5, 7].tolist() == list(colour)


@pytest.mark.parametrize("val", ["val", "test"])
def test_a_folder_with_its_own_validation_part_keeps_it(tmp_path: Path, val: str) -> None:
    for name, colour in COLOURS.items():
        paint(tmp_path / "train" / name / "a.png", colour)
        paint(tmp_path / val / name / "deeper" / "b.jpg", colour)
    images = load(f"folder:{tmp_path}")
    assert (len(images.train.labels), len(images.val.labels)) == (3, 3)


def test_every_mode_and_size_becomes_rgb(tmp_path: Path) -> None:
    grey = tmp_path / "train" / "grey"
    paint(grey / "l.png", 128, (50, 20), "L")
    paint(grey / "i16.png", 128 * 257, (64, 64), "I;16")
    paint(grey / "cmyk.jpg", (127, 127, 127, 0), (33, 65), "CMYK")
    paint(grey / "one_px_wide.bmp", (128, 128, 128), (1, 300))
    paint(grey / "palette.gif", 128, (20, 20), "L")
    paint(tmp_path / "train" / "white" / "glass.png", (9, 9, 9, 0), (30, 40), "RGBA")
    paint(tmp_path / "train" / "white" / "bit.tif", 1, (30, 40), "1")
    for name in ("grey", "white"):
        paint(tmp_path / "val" / name / "a.webp", 128, (30, 40), "RGB")
    images = load(f"folder:{tmp_path}", resolution_px=24)
    assert images.train.pixels().shape == (7, 3, 24, 24)
    for image, label in zip(images.train.pixels(), images.train.labels, strict=True):
        expected = 128 if label == 0 else 255
        assert image.float().mean((1, 2)).tolist() == pytest.approx([expected] * 3, abs=3)


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    lying = Image.new("RGB", (64, 64))
    lying.paste((255, 255, 255), (0, 0, 32, 64))  # white left half
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise: left becomes top
    for part in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            lying.save(tmp_path / part / name / "x.jpg", exif=exif)
    image = load(f"folder:{tmp_path}").train.pixels()[0, 0].float()
    assert image[:28].mean() > 250
    assert image[36:].mean() < 5


@pytest.mark.parametrize(
    ("sizes", "side"),
    [([(32, 32)], 32), ([(20, 28)], 32), ([(96, 64)], 64), ([(32, 32), (40, 32)], 224)],
)
def test_default_resolution(tmp_path: Path, sizes: list[tuple[int, int]], side: int) -> None:
    for dot, name in enumerate(("a", "b")):
        for number, size in enumerate(sizes * 3):
            paint(tmp_path / name / f"{number}.png", (1, 2, 3), size, dot=2 * number + dot)
    images = load(f"folder:{tmp_path}")
    assert images.info.resolution_px == side


def truncate(folder: Path) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "JPEG")
    (folder / "red" / "cut.jpg").write_bytes(buffer.getvalue()[:-400])


def scribble(folder: Path) -> None:
    for number in range(5):
        (folder / "red" / f"note{number}.png").write_text("no image")


def remove_all_but_red(folder: Path) -> None:
    for name in ("blue", "green"):
        for file in (folder / name).iterdir():
            file.unlink()
        (folder / name).rmdir()


def empty_red(folder: Path) -> None:
    for file in (folder / "red").iterdir():
        file.unlink()


def differ(folder: Path) -> None:
    for part, names in (("train", "ab"), ("val", "abc")):
        for name in names:
            paint(folder / part / name / "x.png", 0, mode="L")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (truncate, ["cut.jpg", "truncated"]),
        (scribble, ["note0.png", "not an image", "and 2 more"]),
        (remove_all_but_red, ["at least 2", "one (red)"]),
        (empty_red, ["no images in", "red"]),
        (differ, ["differ", "has c"]),
    ],
)
def test_a_spoilt_folder_is_refused_in_one_line(
    colours: Path, spoil: Callable[[Path], None], words: list[str]
) -> None:
    spoil(colours)
    with pytest.raises(UsageError) as caught:
        load(f"folder:{colours}", resolution_px=32)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_refused_with_what_to_do(colours: Path) -> None:
    scribble(colours)
    with pytest.raises(UsageError, match="a run by --skip-unreadable passes over up to 1 %"):
        load(f"folder:{colours}", resolution_px=32)


def test_hidden_files_are_not_images(colours: Path) -> None:
    (colours / "red" / ".DS_Store").write_text("")
    assert len(load(f"folder:{colours}", resolution_px=32).train) == 24


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        load(f"folder:{tmp_path / 'none'}")
    with pytest.raises(UsageError, match=r"cannot read .*File name too long"):
        load("folder:" + "x" * 5000)
    with pytest.raises(UsageError, match="found none"):
        load(f"folder:{tmp_path}")


def test_a_decompression_bomb_is_a_bad_file(colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_PIXELS", 2000)
    paint(colours / "red" / "huge.png", 0, (60, 50))
    with pytest.raises(UsageError, match=r"huge\.png \(60 x 50 pixels, a decompression bomb"):
        load(f"folder:{colours}", resolution_px=32)
