"""Images and views of them: normalisation, parts, fingerprints."""

import os

import pytest
import torch
from torchvision.models import MobileNet_V3_Small_Weights

from bneck.errors import UsageError
from bneck.proxies.data.image_info import IMAGENET_MEAN, IMAGENET_STD, judged_on
from bneck.proxies.data.image_source import ImageSource, in_memory
from bneck.proxies.data.loading import load
from bneck.proxies.data.worker_images import WorkerImages, for_proxies


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


def test_more_pixels_than_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images = load("digits")
    monkeypatch.setattr(os, "sysconf", lambda name: 1000)
    with pytest.raises(UsageError, match=r"1437 images at 512 px need 1\.1 GB"):
        images.resized(512)
