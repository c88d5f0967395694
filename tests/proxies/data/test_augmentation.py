"""Batches and how they are varied, against torchvision and the papers."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import beta, chisquare, kstest
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from bneck.errors import UsageError
from bneck.proxies.data import augmentation
from bneck.proxies.data.augmentation import CROP_BY_WORD, ERASED, mixed, random_erasing
from bneck.proxies.data.augmentation_words import MIXES, check_augmentation
from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_source import ImageSource, in_memory
from bneck.proxies.data.loading import load
from bneck.proxies.data.trivial_augment import OPERATIONS, trivial_augment

ALL = slice(None)
BEYOND_CROPS = "trivial-augment+random-erasing+mixup+cutmix"
EVERYTHING = f"random-resized-crop+{BEYOND_CROPS}"


@pytest.fixture(scope="module")
def digits() -> ImageSource:
    """The digits at 32 px."""
    return load("digits", resolution_px=32, seed=0)


def photos(count: int = 6, side: int = 40) -> Tensor:
    """Smooth pictures, so that a pixel's place shows in its value: uint8 (count, 3, side, side)."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    phase = torch.arange(count * 3).view(count, 3, 1, 1)
    return (127 + 120 * torch.sin(x / 7 + phase) * torch.cos(y / 9 + phase)).to(torch.uint8)


def draw(seed: int = 0) -> torch.Generator:
    """A source of random numbers."""
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


@pytest.mark.parametrize("flip", [True, False])
def test_crops_shift_by_an_eighth_at_most_and_mirror_half(flip: bool) -> None:
    """On pictures of their own coordinates, of x and of y, a line of pixels tells both."""
    side, reach, count = 64, 8, 400
    across = torch.arange(side, dtype=torch.uint8).expand(3, side, side)
    rows = torch.arange(count) % 2
    crop = CROP_BY_WORD["crop-and-flip"]
    found = crop(torch.stack([across, across.transpose(1, 2)]), rows, flip, draw(), ALL)
    bordered = np.pad(np.arange(side), reach, mode="reflect")
    shifts: list[set[int]] = [set(), set()]
    mirrored = 0
    for row, one in zip(rows.tolist(), found.numpy(), strict=True):
        line = one[0, :, 0] if row else one[0, 0]
        if line[20] > line[40]:
            line, mirrored = line[::-1], mirrored + 1
        shift = int(line[side // 2]) - side // 2
        assert np.array_equal(line, bordered[reach + shift :][:side])
        shifts[row].add(shift)
    assert shifts == [set(range(-reach, reach + 1))] * 2
    assert mirrored / (count / 2) == pytest.approx(0.5 * flip, abs=0.1)  # y is never mirrored


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own() -> None:
    """Images of one grey level each are told by it, however they are shifted."""
    count = 100
    levels = torch.arange(count, dtype=torch.uint8)
    squares, labels = levels[:, None, None, None].expand(-1, 3, 8, 8), torch.arange(count) % 2
    images = in_memory("levels", ("even", "odd"), (squares, labels), (squares[:4], labels[:4]))
    batches = Batches(images, 32, 0)
    assert batches.steps_per_epoch == 3  # what does not fill a batch is left out
    mean, std = images.info.mean[0], images.info.std[0]
    epochs = []
    for epoch in range(3):
        shown: list[int] = []
        for step in range(3 * epoch, 3 * epoch + 3):
            x, of_batch = batches[step]
            found = (255 * (x[:, 0, 0, 0] * std + mean)).round().int()
            assert torch.equal(of_batch, found % 2)
            shown += found.tolist()
        assert len(set(shown)) == len(shown) == 96
        epochs.append(shown)
    assert epochs[0] != epochs[1] != epochs[2]


def test_each_step_shifts_images_anew() -> None:
    squares = torch.arange(16, dtype=torch.uint8).expand(2, 3, 16, 16)
    labels = torch.tensor([0, 1])
    images = in_memory("ramps", ("a", "b"), (squares, labels), (squares, labels))
    batches = Batches(images, 2, 0)
    assert len({batches[step][0].numpy().tobytes() for step in range(8)}) > 4


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
    x = torch.arange(side, dtype=torch.uint8).expand(side, side)
    picture, rows = torch.stack([x, x.T, x])[None], torch.zeros(400, dtype=torch.int64)
    found = CROP_BY_WORD["random-resized-crop"](picture, rows, True, draw(), ALL).float()
    across, down = found[:, 0, 0], found[:, 1, :, 0]
    widths, heights = (one.amax(1) - one.amin(1) + 1 for one in (across, down))
    areas, stretches = widths * heights / side**2, widths / heights
    assert areas.min() == pytest.approx(0.08, abs=0.02)
    assert areas.max() > 0.95
    assert stretches.min() == pytest.approx(3 / 4, abs=0.05)
    assert stretches.max() == pytest.approx(4 / 3, abs=0.05)
    for one in (across, down):  # boxes lie anywhere, up to each edge
        low, high = one.amin(1), one.amax(1)
        assert ((low == 0) & (high < side - 1)).any()
        assert ((low > 0) & (high == side - 1)).any()
    assert 0.4 < float((across[:, 0] > across[:, -1]).float().mean()) < 0.6  # mirrored
    # E[sqrt(area)] over U(0.08, 1) is 2/3 (1 - 0.08^1.5) / 0.92 = 0.708; the stretch is symmetric.
    assert float(widths.mean()) / side == pytest.approx(0.708, abs=0.03)


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


def test_trivial_augment_draws_operations_strengths_and_signs_evenly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As torchvision's: 14 operations, 31 strengths from nothing to all, and either way."""
    count, drawn = 3000, {}

    def noting(word: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        def operation(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
            drawn[word] = torch.stack([magnitude, sign])
            return pixels

        return operation

    for word in OPERATIONS:
        monkeypatch.setitem(OPERATIONS, word, noting(word))
    trivial_augment(torch.zeros(count, 3, 1, 1, dtype=torch.uint8), count, draw(), ALL)
    assert len(drawn) == 14
    times = [each.shape[1] for each in drawn.values()]
    assert chisquare(times).pvalue > 0.01
    magnitude, sign = torch.cat(list(drawn.values()), 1)
    strengths = (30 * magnitude).round().int().bincount(minlength=31)
    torch.testing.assert_close(magnitude.unique(), torch.arange(31) / 30)
    assert chisquare(strengths.numpy()).pvalue > 0.01
    assert sign.unique().tolist() == [-1, 1]
    assert float(sign.mean()) == pytest.approx(0, abs=0.06)


def test_words_beyond_the_crop_change_a_batch(digits: ImageSource) -> None:
    plain, labels = Batches(digits, 32, 5)[3]
    for word in BEYOND_CROPS.split("+"):
        pixels, targets = Batches(digits, 32, 5, f"crop-and-flip+{word}")[3]
        assert not torch.equal(pixels, plain), word
        mixes = word in MIXES
        assert targets.shape == ((32, 10) if mixes else (32,))
        assert mixes or torch.equal(targets, labels)


def test_erasing_blanks_a_rectangle_in_a_fifth_of_the_images() -> None:
    x = torch.ones(1000, 3, 32, 32)
    blank = random_erasing(x, 1000, draw(), ALL) == 0
    erased = blank.flatten(1).any(1)
    assert float(erased.float().mean()) == pytest.approx(ERASED, abs=0.04)
    areas = blank[erased].float().mean((1, 2, 3))
    assert float(areas.mean()) == pytest.approx((0.02 + 0.33) / 2, abs=0.03)
    times = blank[:, 0].float().mean(0)  # anywhere, up to each edge
    assert times[0].max() > 0
    assert times[:, 0].max() > 0
    assert times.flip(0) == pytest.approx(times, abs=0.04)
    assert times.flip(1) == pytest.approx(times, abs=0.04)
    one = blank[erased][0, 0]
    rows, columns = one.any(1), one.any(0)
    assert int(one.sum()) == int(rows.sum()) * int(columns.sum())


def test_erased_rectangles_are_those_of_the_paper() -> None:
    """Zhang et al. 2017, as in torchvision: stretched by 0.3 to 3.3, in a fifth of the images."""
    assert ERASED == 0.2
    blank = random_erasing(torch.ones(3000, 1, 64, 64), 3000, draw(), ALL)[:, 0] == 0
    blank = blank[blank.flatten(1).any(1)]
    width, height = (blank.any(over).sum(1).float() for over in (1, 2))
    whole = (width < 64) & (height < 64)  # of the others a part would lie outside
    stretches = (width / height)[whole & (width * height > 400)]
    assert stretches.min() == pytest.approx(0.3, abs=0.03)
    assert stretches.max() == pytest.approx(3.3, abs=0.3)


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


def test_mixup_weights_and_cutmix_boxes_are_those_of_the_papers() -> None:
    """Zhang et al. 2018: Beta(0.2, 0.2). Yun et al. 2019: boxes of uniform area, cut at the border.

    A box of share u has the sides sqrt(u). Centred anywhere, sqrt(u) - u / 4 of a side is inside,
    so the mean area is the integral of (sqrt(u) - u / 4)^2, which is 1/2 - 1/5 + 1/48.
    """
    x, labels = torch.zeros(2, 3, 64, 64), torch.tensor([0, 1])

    def shares(word: str) -> list[float]:
        return [float(mixed(x, labels, 2, (word,), draw(one))[1][0, 0]) for one in range(400)]

    assert kstest(shares("mixup"), beta(0.2, 0.2).cdf).pvalue > 0.01
    assert 1 - np.mean(shares("cutmix")) == pytest.approx(1 / 2 - 1 / 5 + 1 / 48, abs=0.04)
