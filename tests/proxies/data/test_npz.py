"""Sets of images as NumPy archives."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from bneck.errors import UsageError
from bneck.proxies.data.loading import load
from bneck.proxies.data.npz import archive_stamp
from tests.proxies.data.pictures import noise


def test_the_stamp_by_content_is_of_all_bytes(tmp_path: Path) -> None:
    """The example of FIPS 180-2: squares decoded by earlier versions are found by it."""
    (tmp_path / "a.npz").write_bytes(b"abc")
    assert archive_stamp(tmp_path / "a.npz", by_content=True) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_npz_with_and_without_a_split(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    labels = np.arange(50) % 5
    np.savez(file, images=noise(50, 28, 28), labels=labels, class_names=np.array(list("vwxyz")))
    images = load(f"npz:{file}")
    assert images.info.class_names == ("v", "w", "x", "y", "z")
    assert (len(images.train.labels), len(images.val.labels)) == (40, 10)
    assert images.info.resolution_px == 32

    pixels = noise(50, 40, 40, 3)
    np.savez(file, x_train=pixels, y_train=labels[:, None], x_test=pixels[:7], y_test=labels[:7])
    images = load(f"npz:{file}")
    assert images.info.resolution_px == 40
    assert torch.equal(images.val.pixels().permute(0, 2, 3, 1), torch.from_numpy(pixels[:7]))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": noise(4, 8, 8)}, "has no labels but images"),
        ({"images": noise(4, 8, 8), "labels": np.array([0, 1, 3, 3])}, "no image of class 2"),
        ({"images": noise(4, 8, 8), "labels": np.array([0, 1, 10**12, 3])}, "no image of class 2"),
        ({"images": noise(4, 8, 8), "labels": np.array([0, -1, 0, 1])}, "label -1 is out of range"),
        ({"images": noise(4, 8, 8), "labels": np.zeros(4, int)}, "has 1 class"),
        ({"images": noise(4, 8, 8), "labels": np.zeros(3, int)}, "must be 4 whole numbers"),
        ({"images": noise(4, 8, 8), "labels": np.zeros(4)}, "must be 4 whole numbers"),
        ({"images": noise(4, 8, 8) - 9.0, "labels": np.arange(4) % 2}, "negative pixels (-9)"),
        ({"images": noise(4, 8, 8) * 999.0, "labels": np.arange(4) % 2}, "pixels up to 25"),
        ({"images": np.full((4, 8, 8), np.nan), "labels": np.arange(4) % 2}, "not finite"),
        ({"images": np.full((4, 8, 8), "a"), "labels": np.arange(4) % 2}, "must be numbers"),
        ({"images": noise(4, 3, 8, 8), "labels": np.zeros(4, int)}, "must be numbers"),
        ({"images": noise(0, 8, 8), "labels": np.zeros(0, int)}, "must be numbers"),
        ({"images": np.array([{}]), "labels": np.zeros(1, int)}, "not an npz file of plain arrays"),
    ],
)
def test_malformed_npz(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UsageError, match=re.escape(message)):
        load(f"npz:{tmp_path / 'a.npz'}")


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(1, bool), (1, np.uint8), (1, np.float32), (255, np.float64), (255, np.int64),
     (4095, np.uint16), (65535, np.uint16), (2**32 - 1, np.uint32)],
)  # fmt: skip
def test_pixels_are_scaled_by_what_the_set_holds(
    tmp_path: Path, scale: int, dtype: type[np.generic]
) -> None:
    black_and_white = np.random.default_rng(0).integers(0, 2, (20, 32, 32))
    pixels = (black_and_white * scale).astype(dtype)
    halves = {"x_train": pixels[:10], "x_test": pixels[10:] // 2 if scale > 1 else pixels[10:]}
    labels = np.arange(10) % 2
    np.savez(tmp_path / "a.npz", **halves, y_train=labels, y_test=labels)
    images = load(f"npz:{tmp_path / 'a.npz'}", resolution_px=32)
    assert np.array_equal(images.train.pixels()[:, 0], black_and_white[:10] * 255)
    grey = 127 if scale > 1 else 255  # parts are scaled alike, so the second stays darker
    assert abs(int(images.val.pixels().max()) - grey) <= 1


def test_names_of_classes_may_be_bytes(tmp_path: Path) -> None:
    names = np.array(["Löwe".encode(), b"dog"])
    np.savez(
        tmp_path / "a.npz", images=noise(20, 8, 8), labels=np.arange(20) % 2, class_names=names
    )
    assert load(f"npz:{tmp_path / 'a.npz'}").info.class_names == ("Löwe", "dog")


def test_classes_of_one_name_are_told_apart(tmp_path: Path) -> None:
    names = np.array(["crane", "gull", "crane"])
    np.savez(
        tmp_path / "a.npz", images=noise(20, 8, 8), labels=np.arange(20) % 3, class_names=names
    )
    found = load(f"npz:{tmp_path / 'a.npz'}").info.class_names
    assert found == ("crane (0)", "gull", "crane (2)")


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_one_image_judges(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x, y = noise(10, 8, 8), np.arange(10) % 2
    test = {"x_test": noise(1, 8, 8), "y_test": np.ones(shape, int)}
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, **test)
    assert load(f"npz:{tmp_path / 'a.npz'}").val.labels.tolist() == [1]


def test_an_npz_whose_test_labels_leave_the_range(tmp_path: Path) -> None:
    x, y = noise(10, 8, 8), np.arange(10) % 2
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y + 1)
    with pytest.raises(UsageError, match="validation label 2 is out of range"):
        load(f"npz:{tmp_path / 'a.npz'}")


def test_files_that_are_not_npz(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load(f"npz:{tmp_path / 'none.npz'}")
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "one.npy", noise(3))
    for name in ("text.npz", "one.npy"):
        with pytest.raises(UsageError, match="not an npz file"):
            load(f"npz:{tmp_path / name}")
