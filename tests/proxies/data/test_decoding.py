"""What the pixels of a file mean."""

import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bneck.errors import UsageError
from bneck.progress import silent
from bneck.proxies.data import decoding, folder
from bneck.proxies.data.decoding import NotAnImage, find_white, read_picture, square
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.proxies.data.squares import from_folder
from bneck.proxies.data.squares.from_folder import changed_files
from bneck.proxies.data.squares.store import all_squares
from tests.proxies.data.pictures import draw

RAMP = np.linspace(0, 1, 64 * 64).reshape(64, 64)


@pytest.mark.parametrize(
    ("white", "dtype"),
    [(1, np.float32), (255, np.float32), (255, np.int32), (4095, np.uint16), (65535, np.uint16),
     (1023, np.int32), (2**32 - 1, np.uint32)],
)  # fmt: skip
def test_a_ramp_is_a_ramp_in_whatever_numbers(
    tmp_path: Path, white: int, dtype: type[np.generic]
) -> None:
    file = tmp_path / "ramp.tif"
    values = (RAMP * white).astype(dtype)
    if dtype == np.uint32:  # which Pillow reads but does not write: TIFF's SampleFormat, tag 339
        Image.fromarray(values.view(np.int32)).save(file)
        signed = bytes([0x53, 1, 3, 0, 1, 0, 0, 0, 2])
        file.write_bytes(file.read_bytes().replace(signed, signed[:-1] + b"\1"))
    else:
        Image.fromarray(values).save(file)
    decoded = read_picture(file, 64)[:, :, 0].astype(float)
    assert np.abs(decoded - RAMP * 255).max() <= 1


def test_a_set_is_scaled_alike(tmp_path: Path) -> None:
    for name, light in (("dark", 0.05), ("bright", 0.9)):
        (tmp_path / name).mkdir()
        for number in range(5):
            values = (RAMP * light * 4095).astype(np.uint16) + number
            Image.fromarray(values).save(tmp_path / name / f"{number}.png")
    images = load(f"folder:{tmp_path}", resolution_px=64)
    brightest = [int(images.train.pixels()[images.train.labels == label].max()) for label in (0, 1)]
    assert brightest == pytest.approx([0.9 * 255, 0.05 * 255], abs=1)


@pytest.fixture
def two_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures of 8 bits, one of which is the sample, and two of 12 bits, in chunks of four."""
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(folder, "_SAMPLE", 1)
    monkeypatch.setattr(from_folder, "CHUNK", 4)
    place = tmp_path / "pictures"
    draw(place, "a", "b", count=10)
    for name, value in (("a/5", 1000), ("b/x", 4000)):
        Image.fromarray(np.full((32, 32), value, np.uint16)).save(place / f"{name}.png")
    return place


def rare_squares(images: ImageSource) -> list[int]:
    """The two squares of one colour, one after the other."""
    pixels = torch.cat([images.train.pixels(), images.val.pixels()]).flatten(1)
    plain = pixels[pixels.amax(1) == pixels.amin(1), 0]
    return sorted(plain.tolist())


SCALED_ALIKE = [62, 249]  # 1000 and 4000 of 4095; alone, 1000 of 1023 is 249 too


def test_deep_pixels_that_no_sample_found_are_scaled_alike(two_deep: Path) -> None:
    assert rare_squares(load(f"folder:{two_deep}", resolution_px=32)) == SCALED_ALIKE
    (one,) = all_squares()
    assert one.index.white == {"16-bit": 4095}
    assert one.index.bad == {}
    assert changed_files(one, two_deep, silent) == []


def test_they_are_scaled_alike_after_an_interruption_too(two_deep: Path) -> None:
    def stop(what: str, done: int, total: int, note: str = "") -> None:
        found.append(what)
        if what == "decoding images" and "finding white" in found:
            raise KeyboardInterrupt

    found: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        load(f"folder:{two_deep}", resolution_px=32, progress=stop)
    assert rare_squares(load(f"folder:{two_deep}", resolution_px=32)) == SCALED_ALIKE
    assert [one.index.white for one in all_squares()] == [{"16-bit": 4095}]


def test_small_squares_are_averages_of_their_pixels(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    found = read_picture(tmp_path / "stripes.png", 8)
    assert found.min() > 120
    assert found.max() < 135


def test_deep_pixels_are_looked_through_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            values = (RAMP * 4095).astype(np.uint16) + number
            Image.fromarray(values).save(tmp_path / name / f"{number}.png")
    told: list[tuple[int, int]] = []
    before = load(
        f"folder:{tmp_path}",
        progress=lambda what, done, total, note="": (
            told.append((done, total)) if what == "finding white" else None
        ),
    )
    assert told == [(6, 6)]
    monkeypatch.setattr(from_folder, "find_white", None)
    assert load(f"folder:{tmp_path}").info == before.info


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (RAMP.astype(np.float32) - 1, r"negative pixels \(-1\)"),
        ((RAMP * -5).astype(np.int32), r"negative pixels \(-5\)"),
        (np.full((64, 64), np.nan, np.float32), "not finite"),
        (RAMP.astype(np.float32) * 1e9, "float pixels up to 1e"),
    ],
)
def test_pixels_without_a_scale_are_refused_by_name(
    tmp_path: Path, values: np.ndarray, message: str
) -> None:
    file = tmp_path / "odd.tif"
    Image.fromarray(values).save(file)
    with pytest.raises(NotAnImage, match=message):
        square(file, 64)
    with pytest.raises(UsageError, match=f"odd.tif: .*{message}"):
        find_white([file])


@pytest.mark.parametrize(
    ("tag", "kind", "value"),
    [
        (0x100, 9, struct.pack("<i", -5)),  # a width below 0
        (0x11A, 2, b"abc\0"),  # a resolution in letters
        (0x11A, 11, struct.pack("<f", float("nan"))),
    ],
    ids=["width", "letters", "nan"],
)
def test_a_photo_with_a_senseless_tag_is_turned_upright(
    tmp_path: Path, tag: int, kind: int, value: bytes
) -> None:
    """Pillow reads such a tag, and cannot write it."""
    tags = sorted([(0x112, 3, struct.pack("<HH", 6, 0)), (tag, kind, value)])
    entries = b"".join(
        struct.pack("<HHI", number, of, len(given) if of == 2 else 1) + given
        for number, of, given in tags
    )
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)
    lying = Image.new("L", (64, 64))
    lying.paste(255, (0, 0, 32, 64))  # white left half, which becomes the top
    lying.save(tmp_path / "photo.jpg", exif=exif)
    pixels = read_picture(tmp_path / "photo.jpg", 64)
    assert pixels[:28].mean() > 250
    assert pixels[36:].mean() < 5


def test_deep_pixels_are_turned_upright_too(tmp_path: Path) -> None:
    values = (RAMP * 65535).astype(np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 5
    Image.fromarray(values).save(tmp_path / "deep.tif", exif=exif)
    Image.fromarray(values.T).save(tmp_path / "upright.tif")
    found = [read_picture(tmp_path / name, 64) for name in ("deep.tif", "upright.tif")]
    assert (found[0] == found[1]).all()


def test_a_photo_of_108_megapixels_is_an_image_and_a_bomb_is_not(tmp_path: Path) -> None:
    file = tmp_path / "large.jpg"
    Image.new("L", (12000, 9000), 200).save(file, quality=30)
    assert read_picture(file, 32).mean() == pytest.approx(200, abs=2)
    Image.new("1", (30000, 30000)).save(tmp_path / "bomb.png")
    with pytest.raises(UsageError, match="30000 x 30000 pixels, a decompression bomb"):
        read_picture(tmp_path / "bomb.png", 32)


def test_a_bomb_of_deep_pixels_is_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray((RAMP * 4095).astype(np.uint16)).save(tmp_path / "a.png")
    assert find_white([tmp_path / "a.png"]) == {"16-bit": 4095}
    monkeypatch.setattr(decoding, "MAX_PIXELS", 64 * 64 - 1)
    assert find_white([tmp_path / "a.png"]) == {}


def test_an_image_is_known_by_its_content(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), "red").save(tmp_path / "a.bin", "JPEG")
    assert read_picture(tmp_path / "a.bin", 8)[0, 0, 0] > 250


def test_a_truncated_webp_is_called_so(tmp_path: Path) -> None:
    """Pillow says that it could not create a decoder object."""
    file = tmp_path / "a.webp"
    Image.fromarray((RAMP * 255).astype(np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(UsageError, match=r"a\.webp: the WebP image is truncated or damaged$"):
        read_picture(file, 8)


def test_heic_is_read_where_its_library_is_and_called_by_its_name_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "a.heic"
    if find_spec("pillow_heif") is None:
        file.write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 40)
        with pytest.raises(UsageError, match=r"a\.heic: HEIC, which needs bneck\[heic\]"):
            read_picture(file, 8)
    else:
        from pillow_heif import from_pillow

        from_pillow(Image.new("RGB", (64, 64), (200, 10, 10))).save(file)
        assert read_picture(file, 8)[4, 4] == pytest.approx([200, 10, 10], abs=4)


def test_postscript_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its name, Pillow would hand it to Ghostscript."""
    ghostscript, ran = tmp_path / "gs", tmp_path / "ran"
    ghostscript.write_text(f"#!/bin/sh\ntouch {ran}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # not looked for yet
    file = tmp_path / "photo.png"
    file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    with pytest.raises(UsageError, match=r"photo\.png: PostScript, which is a program"):
        read_picture(file, 8)
    assert not ran.exists()
