"""Which folders are parts, which are classes, and what is passed over."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from bneck.cli import run
from bneck.errors import UsageError
from bneck.progress import silent
from bneck.proxies.data.image_spec import check_apart, is_divided_by_seed
from bneck.proxies.data.layout import read_layout, with_digests
from bneck.proxies.data.loading import load
from bneck.proxies.data.summary import folder_summary
from tests.proxies.data.pictures import draw


@pytest.mark.parametrize("train", ["train", "Train", "TRAINING"])
@pytest.mark.parametrize("val", ["val", "Val", "valid", "validation", "DEV"])
def test_parts_are_never_classes_whatever_their_case(tmp_path: Path, train: str, val: str) -> None:
    draw(tmp_path, f"{train}/cat", f"{train}/dog", f"{val}/cat", f"{val}/dog", count=1)
    layout = read_layout(tmp_path)
    assert layout.class_names == ("cat", "dog")
    assert {part: files.labels for part, files in layout.parts.items()} == {
        "train": [0, 1],
        "val": [0, 1],
    }


def test_with_val_and_test_val_chooses_and_test_gives_the_last_figure(tmp_path: Path) -> None:
    draw(tmp_path, "train/a", "train/b", "valid/a", "valid/b", "testing/a", "testing/b")
    images = load(f"folder:{tmp_path}")
    assert (images.info.training, images.info.validation, images.info.test) == (10, 10, 10)
    chosen_by = images.for_search(0)
    assert chosen_by.val.rows.tolist() == images.val.rows.tolist()
    assert len(chosen_by.train) == 10
    assert images.test is not None
    assert images.on_test().val.rows.tolist() == images.test.rows.tolist()
    assert images.info.judged_on == 10


def test_with_test_alone_it_validates(tmp_path: Path) -> None:
    draw(tmp_path, "train/a", "train/b", "test/a", "test/b")
    images = load(f"folder:{tmp_path}")
    assert (images.info.validation, images.info.test) == (10, 0)
    assert len(images.for_search(0).val) == 2


def test_what_systems_leave_behind_is_passed_over_and_counted(tmp_path: Path) -> None:
    """In classes, and beside them."""
    draw(tmp_path, "a", "b", "b/deeper")
    for name in ("a/Thumbs.db", "a/desktop.ini", "b/.DS_Store", "__MACOSX/a/._0.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    draw(tmp_path, "a/@eaDir", "b/.ipynb_checkpoints", "b/deeper/.hidden", ".git")
    layout = read_layout(tmp_path)
    assert len(layout.parts["train"].paths) == 15
    assert layout.passed_over == {
        "Thumbs.db": 1, "desktop.ini": 1, "hidden": 3, "@eaDir": 1, ".ipynb_checkpoints": 1,
        "__MACOSX": 1,
    }  # fmt: skip


def test_what_is_left_behind_beside_parts_and_their_classes_is_counted_once(tmp_path: Path) -> None:
    draw(tmp_path, *(f"{part}/{name}" for part in ("train", "val") for name in ("a", "b")))
    for name in ("@eaDir", "train/@eaDir", "val/.thumbnails"):
        (tmp_path / name).mkdir()
    assert read_layout(tmp_path).passed_over == {"@eaDir": 2, "hidden": 1}


@pytest.mark.parametrize(
    ("parts", "out", "refused"),
    [
        ("", "run", True),
        ("", "cat/run", True),
        ("", ".runs/run", False),
        ("", "../run", False),
        ("train/ val/", "run", False),
        ("train/ val/", "val/run", True),
    ],
)
def test_a_run_among_the_images_is_refused(
    tmp_path: Path, parts: str, out: str, refused: bool
) -> None:
    """Its files would be images of another class that cannot be read."""
    photos = tmp_path / "photos"
    draw(photos, *(f"{part}{name}" for part in parts.split() or [""] for name in ("cat", "dog")))
    spec = f"folder:{photos}"
    if refused:
        with pytest.raises(UsageError, match=r"its files would count as images: name an --out els"):
            check_apart(spec, photos / out)
        assert run(["train", "mobilenet_v3_small", "--data", spec, "--out", f"{photos}/{out}"]) == 2
        assert not (photos / out).exists()
    else:
        check_apart(spec, photos / out)


def test_digests_are_of_all_bytes_in_the_order_of_the_files(tmp_path: Path) -> None:
    """The examples of FIPS 180-2: squares decoded by earlier versions are found by them."""
    for name, content in (("a", b"abc"), ("b", b"")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(content)
    layout = read_layout(tmp_path)
    assert with_digests(layout, silent).parts["train"].stamps == [
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ]
    (tmp_path / "b" / "0.png").unlink()
    with pytest.raises(UsageError, match=r"cannot read b/0.png in .*: No such file or directory"):
        with_digests(layout, silent)


def test_a_linked_folder_is_followed_once(tmp_path: Path) -> None:
    draw(tmp_path, "a", "b", "elsewhere/of_a", count=3)
    (tmp_path / "elsewhere").rename(tmp_path.with_name(f"{tmp_path.name}-elsewhere"))
    (tmp_path / "a" / "more").symlink_to(tmp_path.with_name(f"{tmp_path.name}-elsewhere"))
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    (tmp_path / "b" / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b" / "loop.png").symlink_to("loop.png")
    os.mkfifo(tmp_path / "b" / "pipe.png")
    layout = read_layout(tmp_path)
    assert layout.parts["train"].labels == [0] * 6 + [1] * 3
    assert layout.passed_over == {
        "links to folders seen before": 1, "broken links": 2, "special files": 1
    }  # fmt: skip
    said = folder_summary(layout, set())
    assert "passed over: 2 broken links, 1 link to a folder seen before, 1 special file" in said
    (tmp_path / "b" / "gone.png").unlink()
    assert "passed over: 1 broken link, " in folder_summary(read_layout(tmp_path), set())


@pytest.mark.parametrize("to", ["..", "../..", "../../.."])
def test_a_link_to_a_folder_around_its_class_is_not_followed(tmp_path: Path, to: str) -> None:
    """All images of the other classes would be images of that one."""
    draw(tmp_path, "train/a", "train/b", "val/a", "val/b", count=3)
    (tmp_path / "train" / "a" / "around").symlink_to(to)
    layout = read_layout(tmp_path)
    assert layout.parts["train"].labels == [0] * 3 + [1] * 3
    assert layout.passed_over == {"links to folders seen before": 1}


def test_the_summary_names_parts_classes_sides_and_what_is_beside(tmp_path: Path) -> None:
    draw(tmp_path, "train/a", "train/b", "val/a", "val/b", "extra/c", count=4)
    draw(tmp_path, "train/a/more", count=2, side=40)
    (tmp_path / "README.txt").write_text("")
    said: list[str] = []
    load(f"folder:{tmp_path}", progress=lambda what, done, total, note="": said.append(note))
    assert said[0] == (
        "18 images (train 10, val 8) of 2 classes, 8 (b) to 10 (a), sides 32 to 40 px; "
        "not used: README.txt, extra"
    )


def two_trains(folder: Path) -> None:
    draw(folder, "train/a", "training/a")


def no_train(folder: Path) -> None:
    draw(folder, "val/a", "cats/b")


def unlabelled_test(folder: Path) -> None:
    """As those of competitions are."""
    draw(folder, "train/a", "train/b", "test")


def one_class_in_val(folder: Path) -> None:
    draw(folder, "train/a", "train/b", "val/a")


def images_in_train(folder: Path) -> None:
    draw(folder, "car", "train")


def empty_val(folder: Path) -> None:
    draw(folder, "train/a", "train/b")
    draw(folder, "val/.cache")


def unpacked_into_a_folder(folder: Path) -> None:
    """As archives are."""
    draw(folder, "photos/a", "photos/b")


def labels_in_a_table(folder: Path) -> None:
    draw(folder, "images")
    (folder / "labels.csv").write_text("file,label\n")


def named_like_parts(folder: Path) -> None:
    draw(folder, "seg_train/a", "seg_train/b", "seg_test/a", "seg_test/b", "seg_pred")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (empty_val, "val is empty: remove it, or put a folder for each class into it"),
        (unpacked_into_a_folder, r"found one \(photos\); are those in .*/photos meant\?"),
        (labels_in_a_table, r"found one \(images\); labels in a table \(labels.csv\) are not read"),
        (named_like_parts, "plain names: seg_train train, seg_test test$"),
        (two_trains, "has train and training: only one of them can be used"),
        (no_train, "has val and no train folder; folders of these names are parts"),
        (unlabelled_test, "test has no folder for each class, .* unknown classes belong elsewhere"),
        (one_class_in_val, "val differ: only one of them has b"),
        (images_in_train, "train must hold at least 2 folders of images, one for each class"),
    ],
)
def test_layouts_that_make_no_sense_are_named(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(tmp_path)
    with pytest.raises(UsageError, match=message):
        read_layout(tmp_path)


def test_classes_may_have_words_of_parts_in_their_names(tmp_path: Path) -> None:
    """Where they are not both a part to train on and another one, or hold no folders."""
    draw(tmp_path, "bullet train/day", "bullet train/night", "bus", "test tube")
    assert read_layout(tmp_path).class_names == ("bullet train", "bus", "test tube")


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """ImageNet's layout in little: val is flat."""
    draw(tmp_path, "train/n02", "train/n01", count=2)
    draw(tmp_path, "val", count=4)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ILSVRC2012_validation_ground_truth.txt", "1\n2\n2\n1\n"),
        ("ground_truth.txt", "n02\nn01\nn01\nn02\n"),
        (
            "LOC_val_solution.csv",
            "ImageId,PredictionString\n1,n01 8 1\n0,n02 1 2\n2,n01\n3,n02",
        ),
    ],
)
def test_a_flat_validation_part_takes_its_labels_from_the_ground_truth(
    imagenet: Path, name: str, text: str
) -> None:
    (imagenet / name).write_text(text)
    synsets = np.array([(1, "n02"), (2, "n01")], dtype=[("ILSVRC2012_ID", int), ("WNID", object)])
    savemat(imagenet / "meta.mat", {"synsets": synsets})
    (imagenet / "classes.txt").write_text("n02 tench, Tinca tinca\nn01 goldfish\n")
    layout = read_layout(imagenet)
    assert layout.class_names == ("goldfish", "tench, Tinca tinca")
    assert layout.parts["val"].labels == [1, 0, 0, 1]
    assert layout.beside == ()


@pytest.mark.parametrize("name", ["ground_truth.txt", "val/ground_truth.txt"])
def test_a_ground_truth_may_lie_among_the_images(imagenet: Path, name: str) -> None:
    (imagenet / name).write_text("n02\nn01\nn01\nn02\n")
    val = read_layout(imagenet).parts["val"]
    assert val.labels == [1, 0, 0, 1]
    assert val.paths == [f"val/{number}.png" for number in range(4)]


@pytest.mark.parametrize(
    "text",
    [
        "my 1.png,great dane\nmy 0.png,cat\n",
        "my 0.png , cat\nmy 1.png, great dane\n",
        "cat\ngreat dane\n",
    ],
)
def test_names_in_a_ground_truth_may_have_spaces(tmp_path: Path, text: str) -> None:
    draw(tmp_path, "train/cat", "train/great dane", count=2)
    draw(tmp_path, "val", count=2)
    for number in range(2):
        (tmp_path / f"val/{number}.png").rename(tmp_path / f"val/my {number}.png")
    (tmp_path / "ground_truth.txt").write_text(text)
    assert read_layout(tmp_path).parts["val"].labels == [0, 1]


def test_the_devkit_is_not_called_unused(imagenet: Path) -> None:
    data = imagenet / "ILSVRC2012_devkit_t12" / "data"
    data.mkdir(parents=True)
    (data / "ground_truth.txt").write_text("n02\nn01\nn01\nn02\n")
    assert read_layout(imagenet).beside == ()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' names are Unicode")
def test_a_class_whose_name_is_not_text_is_called_by_text(tmp_path: Path) -> None:
    draw(tmp_path, "a", "cat\udcff", count=2)  # the byte 0xff
    layout = read_layout(tmp_path)
    assert layout.class_names == ("a", r"cat\udcff")
    assert all((tmp_path / path).is_file() for path in layout.parts["train"].paths)
    draw(tmp_path, r"cat\udcff", count=2)
    assert read_layout(tmp_path).class_names == ("a", r"cat\udcff (1)", r"cat\udcff (2)")


def test_classes_of_one_name_are_told_apart_by_their_folders(imagenet: Path) -> None:
    for text in ("n01 crane\nn02 crane\n", "crane\ncrane\n"):
        (imagenet / "classes.txt").write_text(text)
        (imagenet / "ground_truth.txt").write_text("n02\nn01\nn01\nn02\n")
        assert read_layout(imagenet).class_names == ("crane (n01)", "crane (n02)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n01\n", "has 1 label for the 4 files"),
        ("n01\nn01\nn03\nn01", "'n03' is not one of the 2 class folders"),
        ("1\n2\n2\n1", "own order: put the devkit's meta.mat beside it"),
        ("0.png n01\n1.png n01", "has no line for 2.png"),
        ("a/0.png n01\nb/0.jpg n02", "two classes for 0, 'n01' and 'n02'"),
    ],
)
def test_a_ground_truth_that_does_not_fit_is_named(imagenet: Path, text: str, message: str) -> None:
    (imagenet / "ground_truth.txt").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_layout(imagenet)


def test_what_the_seed_divides(tmp_path: Path) -> None:
    draw(tmp_path / "one", "a", "b", count=1)
    draw(tmp_path / "two", "train/a", "train/b", "test/a", "test/b", count=1)
    whole = {"images": np.zeros((2, 8, 8), np.uint8), "labels": np.array([0, 1])}
    np.savez(tmp_path / "one.npz", **whole)
    parts = {f"{one}_{part}": each for part in ("train", "test") for one, each in
             zip("xy", whole.values(), strict=True)}  # fmt: skip
    np.savez(tmp_path / "two.npz", **parts)
    for kind, end in (("folder", ""), ("npz", ".npz")):
        assert is_divided_by_seed(f"{kind}:{tmp_path}/one{end}")
        assert not is_divided_by_seed(f"{kind}:{tmp_path}/two{end}")
    assert is_divided_by_seed("digits")
    assert not is_divided_by_seed("cifar10")
