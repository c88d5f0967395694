import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from bneck.errors import UsageError
from bneck.proxies.data import augmentation
from bneck.proxies.data.augmentation import (
    CROP_BY_WORD,
    ERASED,
    mixed,
    random_erasing,
)
from bneck.proxies.data.augmentation_words import check_augmentation
from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.proxies.data.trivial_augment import OPERATIONS, trivial_augment

ALL = slice(None)
BEYOND_CROPS = "trivial-augment+random-erasing+mixup+cutmix"
EVERYTHING = f"random-resized-crop+{BEYOND_CROPS}"


@pytest.fixture(scope="module")
def digits() -> ImageSource:
    return load("digits", resolution_px=32, seed=0)


def photos(count: int = 6, side: int = 40) -> Tensor:
    """Smooth pictures, so that a pixel's place shows in its value: uint8 (count, 3, side, side)."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    phase = torch.arange(count * 3).view(count, 3, 1, 1)
    return (127 + 120 * torch.sin(x / 7 + phase) * torch.cos(y / 9 + phase)).to(torch.uint8)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("crop", CROP_BY_WORD)
def test_batches_depend_on_seed_and_step_alone(crop: str, digits: ImageSource) -> None:
    words = f"{crop}+{BEYOND_CROPS}"
    batches, again = (Batches(digits, 32, 5, words) for _ in range(2))
    late = batches[40]
    assert all(torch.equal(a, b) for a, b in zip(late, again[40], strict=True))
    assert not torch.equal(late[0], Batches(digits, 32, 6, words)[40][0])


@pytest.mark.parametrize("words", ["crop-and-flip", EVERYTHING])
def test_processes_share_just_the_batch_of_one(words: str, digits: ImageSource) -> None:
    whole = Batches(digits, 32, 5, words)[3]
    parts = [Batches(digits, 32, 5, words, rank=rank, processes=2)[3] for rank in range(2)]
    for together, *each in zip(whole, *parts, strict=True):
        torch.testing.assert_close(together, torch.cat(each))


def test_batches_that_cannot_be_divided(digits: ImageSource) -> None:
    with pytest.raises(UsageError, match="a batch of 32 cannot be divided by 3 processes"):
        Batches(digits, 32, 0, processes=3)
    with pytest.raises(UsageError, match="30 cannot be divided by 2 processes into even parts"):
        Batches(digits, 30, 0, EVERYTHING, processes=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("crop", "unknown augmentation 'crop'; known: crop-and-flip, random-resized-crop, trivial"),
        ("mixup", "augmentation 'mixup' must name one of crop-and-flip, random-resized-crop"),
        ("crop-and-flip+random-resized-crop", "must name one of"),
        ("crop-and-flip+mixup+mixup", "names mixup twice"),
    ],
)
def test_unknown_words(words: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_augmentation(words)


@pytest.mark.parametrize(
    "resize", [augmentation._resized_one_by_one, augmentation._resized_at_once]
)
def test_resized_boxes_are_torchvisions(
    resize: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
) -> None:
    pixels, side = photos(), 40
    boxes = torch.tensor([[10, 4, 20, 32], [0, 0, 40, 40], [39, 25, 1, 15]])  # left, top, ...
    rows, mirrored = torch.tensor([4, 0, 5]), torch.tensor([True, False, True])
    found = resize(pixels, rows, boxes, mirrored)
    for one, row, (left, top, width, height), mirror in zip(
        found, rows, boxes.tolist(), mirrored, strict=True
    ):
        expected = functional.resized_crop(
            pixels[row].float(), top, left, height, width, [side, side], antialias=False
        )
        expected = expected.flip(2) if mirror else expected
        assert (one - expected).abs().max() <= 1


def test_resized_crops_show_between_8_and_100_percent() -> None:
    """On a picture of its own coordinates, a crop's range tells the box."""
    side = 64
    ramp = torch.arange(side, dtype=torch.uint8).expand(1, 3, side, side).contiguous()
    rows = torch.zeros(400, dtype=torch.int64)
    found = CROP_BY_WORD["random-resized-crop"](ramp, rows, True, draw(), ALL)[:, 0, 0].float()
    widths = (found.amax(1) - found.amin(1)) / side
    assert widths.min() > math.sqrt(0.08 * 3 / 4) - 0.05
    assert widths.max() > 0.95
    assert 0.4 < float((found[:, 0] > found[:, -1]).float().mean()) < 0.6  # mirrored
    # E[sqrt(area)] over U(0.08, 1) is 2/3 (1 - 0.08^1.5) / 0.92 = 0.708; the stretch is symmetric.
    assert float(widths.mean()) == pytest.approx(0.708, abs=0.04)


@pytest.mark.parametrize("word", OPERATIONS)
@pytest.mark.parametrize(("magnitude", "sign"), [(0.0, 1.0), (0.3, 1.0), (0.3, -1.0), (1.0, 1.0)])
def test_operations_are_torchvisions(word: str, magnitude: float, sign: float) -> None:
    pixels = photos(3)
    space = v2.TrivialAugmentWide._AUGMENTATION_SPACE  # by word: (magnitudes of a bin, signed)
    magnitudes, signed = space[word]
    values = magnitudes(31, 40, 40)
    strength = 0.0 if values is None else float(values[round(magnitude * 30)])
    strength *= sign if signed else 1.0
    expected = v2.TrivialAugmentWide()._apply_image_or_video_transform(
        pixels, word, strength, v2.InterpolationMode.NEAREST, {torch.Tensor: 0}
    )
    ones = torch.ones(len(pixels))
    found = OPERATIONS[word](pixels, magnitude * ones, sign * ones)
    wrong = ((found.int() - expected.int()).abs() > 1).float().mean()
    assert wrong < (0.02 if word in ("Rotate", "ShearX", "ShearY") else 1e-9)  # nearest, at ties


def test_trivial_augment_changes_most_images_and_is_seeded() -> None:
    pixels = photos(60)
    found = trivial_augment(pixels, 60, draw(1), ALL)
    assert torch.equal(found, trivial_augment(pixels, 60, draw(1), ALL))
    changed = (found != pixels).flatten(1).any(1).float().mean()
    assert changed > 0.6  # one operation in 14 is none, and the weakest strengths change nothing


def test_erasing_blanks_a_rectangle_in_a_fifth_of_the_images() -> None:
    x = torch.ones(1000, 3, 32, 32)
    blank = random_erasing(x, 1000, draw(), ALL) == 0
    erased = blank.flatten(1).any(1)
    assert float(erased.float().mean()) == pytest.approx(ERASED, abs=0.04)
    areas = blank[erased].float().mean((1, 2, 3))
    assert float(areas.mean()) == pytest.approx((0.02 + 0.33) / 2, abs=0.03)
    one = blank[erased][0, 0]
    rows, columns = one.any(1), one.any(0)
    assert int(one.sum()) == int(rows.sum()) * int(columns.sum())


@pytest.mark.parametrize("word", ["mixup", "cutmix"])
def test_mixed_labels_are_the_shares_of_the_mixed_pixels(word: str) -> None:
    labels = torch.tensor([0, 1, 2, 3, 4])
    x = labels.float().view(-1, 1, 1, 1).expand(-1, 3, 16, 16).contiguous()
    shares = []
    for seed in range(20):
        mix, target = mixed(x, labels, 5, (word,), draw(seed))
        assert target.sum(1) == pytest.approx(1.0)
        # Each image has its class's number for pixels, so the mean is the expected class.
        assert mix.mean((1, 2, 3)).tolist() == pytest.approx((target @ torch.arange(5.0)).tolist())
        assert target[4, 4] == 1  # the odd one mixes with itself
        shares.append(float(target[0, 0]))
    assert min(shares) < 0.4
    assert max(shares) > 0.6
