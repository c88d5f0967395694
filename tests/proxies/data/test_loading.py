import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import utils
from torchvision.models import MobileNet_V3_Small_Weights

from bneck.errors import BneckError, UsageError
from bneck.proxies.data import decoding, loading, pixels
from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_info import IMAGENET_MEAN, IMAGENET_STD, judged_on
from bneck.proxies.data.image_source import ImageSource, in_memory
from bneck.proxies.data.image_spec import NAMED_SETS
from bneck.proxies.data.loading import DATA_SETS, load
from bneck.proxies.data.pixels import check_memory, fit_square, statistics
from bneck.proxies.data.row_order import rows_by_class, stratified_order
from bneck.proxies.data.worker_images import WorkerImages, for_proxies

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


@pytest.fixture(scope="module")
def digits() -> ImageSource:
    return load("digits", seed=0)


def test_digits_are_upright_grey_images_that_must_not_be_mirrored(digits: ImageSource) -> None:
    assert digits.train.pixels().shape == (1437, 3, 32, 32)
    assert len(digits.val.labels) == 360
    assert digits.info.classes == 10
    assert not digits.info.flip
    assert torch.equal(digits.train.pixels()[:, 0], digits.train.pixels()[:, 2])
    # scikit-learn's digits have a mean of 4.884 on their scale of 16
    assert digits.info.mean[0] == pytest.approx(4.884 / 16, abs=0.01)
    assert digits.info.fingerprint == "4528cd295c1caf1a"  # as load_digits gave them to early runs


def test_normalised_training_images_have_zero_mean_and_unit_deviation(digits: ImageSource) -> None:
    x = digits.normalise(digits.train.pixels())
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x.mean().item() == pytest.approx(0, abs=1e-4)
    assert x.std(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_a_constant_channel_has_the_deviation_of_one_grey_level() -> None:
    counts = torch.zeros(3, 256, dtype=torch.int64)
    counts[0, 51] = counts[1, 0] = counts[1, 255] = counts[2, 0] = 8
    mean, std = statistics(counts)
    assert mean == pytest.approx((0.2, 0.5, 0))
    assert std == pytest.approx((1 / 255, 0.5, 1 / 255))


def test_search_never_sees_the_final_validation_images(digits: ImageSource) -> None:
    search = digits.for_search(seed=3)
    parts = [search.train.pixels(), search.val.pixels()]
    seen = sorted(image.numpy().tobytes() for part in parts for image in part)
    assert seen == sorted(image.contiguous().numpy().tobytes() for image in digits.train.pixels())
    assert len(search.val.labels) == 288
    assert search.info.fingerprint != digits.info.fingerprint
    assert search.info.fingerprint == digits.for_search(seed=3).info.fingerprint
    assert search.info.fingerprint != digits.for_search(seed=4).info.fingerprint
    worker = for_proxies(WorkerImages("digits", 32, 32, seed=3, train=50, val=20))
    few = load("digits", resolution_px=32, seed=3).for_search(3).subset(seed=3, train=50, val=20)
    assert worker.info.fingerprint == few.info.fingerprint


def test_views_are_normalised_as_the_whole_set(digits: ImageSource) -> None:
    whole = digits.normalised_with(IMAGENET_MEAN, IMAGENET_STD)
    for images in (digits, whole):
        views = [images.for_search(0), images.subset(seed=0, train=50), images.resized(16)]
        for view in [*views, views[0].subset(seed=1, val=9).resized(24)]:
            assert (view.info.mean, view.info.std) == (images.info.mean, images.info.std)


def test_imagenets_statistics_are_those_of_torchvisions_weights(digits: ImageSource) -> None:
    theirs = MobileNet_V3_Small_Weights.DEFAULT.transforms(crop_size=32, resize_size=32)
    pixels = digits.val.pixels(torch.arange(4))
    ours = digits.normalised_with(IMAGENET_MEAN, IMAGENET_STD).normalise(pixels)
    assert torch.allclose(ours, theirs(pixels), atol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "folds", "judging"),
    [
        ((1000, 400, 0), 1, 200),
        ((1000, 400, 300), 1, 400),
        ((30_000, 400, 0), 1, 5000),
        ((800, 400, 0), 5, 800),
        ((20_000, 400, 0), 5, 20_000),
        ((30_000, 400, 0), 5, 25_000),
    ],
)
def test_a_fifth_or_val_or_each_fold_judges_and_of_a_large_set_5000_each(
    sizes: tuple[int, int, int], folds: int, judging: int
) -> None:
    assert judged_on(*sizes, folds) == judging


def test_views_copy_no_pixels(digits: ImageSource) -> None:
    view = digits.for_search(0).subset(seed=0, train=100, val=50)
    assert view.train.squares is view.val.squares is digits.train.squares


def test_rows_by_class_are_those_of_each_class_in_order() -> None:
    labels = torch.tensor([3, 0, 3, 1, 0, 3])  # class 2 is absent
    assert [rows.tolist() for rows in rows_by_class(labels)] == [[1, 4], [3], [0, 2, 5]]
    many = torch.arange(50_000).remainder(2000)
    assert all((many[rows] == label).all() for label, rows in enumerate(rows_by_class(many)))
    assert rows_by_class(labels[:0]) == ()


def test_every_beginning_of_a_stratified_order_holds_the_classes_in_proportion() -> None:
    labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    order = stratified_order(labels, seed=1)
    assert order.sort().values.tolist() == list(range(100))
    for count, expected in ((10, [6, 3, 1]), (20, [12, 6, 2]), (50, [30, 15, 5])):
        assert labels[order[:count]].bincount(minlength=3).tolist() == expected
    assert order.tolist() != stratified_order(labels, seed=2).tolist()
    shown = torch.nn.functional.one_hot(labels[order]).cumsum(0)  # (100, 3)
    wanted = torch.outer(torch.arange(1, 101), torch.tensor([0.6, 0.3, 0.1]))
    assert (shown - wanted).mean(0).abs().max() < 0.2  # no class comes earlier than others


def test_a_subset_is_stratified_and_never_more_than_there_is(digits: ImageSource) -> None:
    small = digits.subset(train=100, val=99999, seed=0)
    assert len(small.train.labels) == 100
    assert len(small.val.labels) == 360
    assert small.train.labels.bincount().tolist() == pytest.approx([10] * 10, abs=1)


def test_another_side_and_another_content_have_another_fingerprint(digits: ImageSource) -> None:
    smaller = digits.resized(16)
    assert smaller.info.resolution_px == 16
    fewer = digits.subset(val=9, seed=0)
    assert len({digits.info.fingerprint, smaller.info.fingerprint, fewer.info.fingerprint}) == 3
    assert load("digits", seed=0).info.fingerprint == digits.info.fingerprint
    assert load("digits", seed=1).info.fingerprint != digits.info.fingerprint


def test_other_labels_of_the_same_pixels_are_other_content() -> None:
    pixels = torch.randint(256, (8, 3, 8, 8), dtype=torch.uint8)
    labels = torch.tensor([0, 1] * 4)
    one, same, other = (
        in_memory("x", "ab", (pixels, of), (pixels[:2], labels[:2])).info.fingerprint
        for of in (labels, labels.clone(), 1 - labels)
    )
    assert one == same != other


def test_resizing_takes_the_centred_square() -> None:
    image = torch.zeros(1, 1, 10, 30, dtype=torch.uint8)
    image[..., 10:20] = 200
    assert torch.equal(fit_square(image, 10), torch.full((1, 1, 10, 10), 200, dtype=torch.uint8))
    assert torch.equal(fit_square(image, 5), torch.full((1, 1, 5, 5), 200, dtype=torch.uint8))


def test_a_batch_depends_on_seed_and_step_only(digits: ImageSource) -> None:
    batches, again = Batches(digits, 64, seed=5), Batches(digits, 64, seed=5)
    late = batches[40][0]
    batches[3]
    assert torch.equal(late, again[40][0])
    assert not torch.equal(late, Batches(digits, 64, seed=6)[40][0])
    epoch = [batches[22 + step][1] for step in range(22)]
    assert batches.steps_per_epoch == 22
    assert torch.cat(epoch).bincount().sum() == 22 * 64


def test_an_epoch_shows_every_image_once() -> None:
    images = ramp_set(flip=False)
    batches = Batches(images, 8, seed=0)
    rows = [batches[step][1] for step in range(4)]
    assert torch.cat(rows).sort().values.tolist() == images.train.labels.sort().values.tolist()


def ramp_set(flip: bool) -> ImageSource:
    """Images whose pixel value is 7 x column, so that shifts and flips can be read off."""
    column = (torch.arange(32, dtype=torch.uint8) * 7).expand(32, 3, 32, 32)
    labels = torch.arange(32) % 2
    part = (column, labels)
    return in_memory("ramp", ("a", "b"), part, part, flip=flip)


def test_augmentation_shifts_by_an_eighth_and_flips_only_where_allowed() -> None:
    for flip in (False, True):
        images = ramp_set(flip)
        x, _ = Batches(images, 32, seed=0)[0]
        middle = (x[:, 0, 16] * images.info.std[0] + images.info.mean[0]) * 255 / 7
        slope = (middle[:, 17] - middle[:, 14]).round()
        assert set(slope.tolist()) == ({3.0, -3.0} if flip else {3.0})
        shift = (middle[:, 16] - torch.where(slope > 0, 16, 15)).round().abs()
        assert shift.max() == 4


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


def test_more_pixels_than_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images = load("digits")
    monkeypatch.setattr(os, "sysconf", lambda name: 1000)
    with pytest.raises(UsageError, match=r"1437 images at 512 px need 1\.1 GB"):
        images.resized(512)


def test_images_may_fill_half_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "memory_bytes", lambda: 2 * 10 * 3 * 8**2)
    check_memory(10, 8)
    with pytest.raises(UsageError, match="11 images at 8 px need"):
        check_memory(11, 8)


@pytest.mark.parametrize("spec", ["imagenet", "", "folder:", "digits:x", "npz"])
def test_unknown_data_lists_what_is_known(spec: str) -> None:
    with pytest.raises(UsageError, match=r"digits, fashion-mnist, cifar10, folder:DIR, npz:FILE"):
        load(spec)


@pytest.mark.parametrize("side", [0, -1, 7, 10**9])
def test_absurd_resolutions(side: int) -> None:
    with pytest.raises(UsageError, match="resolution must be a whole number from 8 to 2048"):
        load("digits", resolution_px=side)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("spec", ["cifar10", "fashion-mnist"])
def test_a_download_that_fails_is_one_line(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("Name or service\nnot known")

    monkeypatch.setenv("BNECK_CACHE", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(BneckError, match=f"cannot download {spec} .*not known") as caught:
        load(spec)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


def test_whoever_wants_a_download_that_is_under_way_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would write the same file, and each find it corrupted."""
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path))
    entered = threading.Event()

    def download() -> None:
        with loading._downloading("cifar10"):
            entered.set()

    other = threading.Thread(target=download)
    with loading._downloading("cifar10"):
        other.start()
        assert not entered.wait(0.5)
    other.join()
    assert entered.is_set()


def test_cifar10_is_read_from_the_binary_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    rows = {name: noise(4, 3073) for name in names}
    for number, batch in enumerate(rows.values()):
        batch[:, 0] = number % 2
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        content = {name: batch.tobytes() for name, batch in rows.items()}
        for name, data_ in {**content, "batches.meta.txt": b"cat\ndog\n\n"}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data_)
            archive.addfile(member, io.BytesIO(data_))
    monkeypatch.setenv("BNECK_CACHE", str(tmp_path))
    monkeypatch.setattr(loading, "_CIFAR_MD5", hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setattr(utils, "_urlretrieve", None)
    images = load("cifar10")
    assert images.info.class_names == ("cat", "dog")
    assert images.train.labels.tolist() == [0] * 4 + [1] * 4 + [0] * 4 + [1] * 4 + [0] * 4
    expected = rows["data_batch_2.bin"][1, 1:].reshape(3, 32, 32)
    assert np.array_equal(images.train.pixels()[5].numpy(), expected)
    assert len(images.val.labels) == 4


def test_the_words_that_are_checked_are_those_that_are_read() -> None:
    assert tuple(DATA_SETS) == NAMED_SETS
