"""Statistics of pixels, centred squares, and the memory that pixels take."""

import pytest
import torch

from bneck.errors import UsageError
from bneck.proxies.data import pixels
from bneck.proxies.data.pixels import check_memory, fit_square, statistics


def test_a_constant_channel_has_the_deviation_of_one_grey_level() -> None:
    counts = torch.zeros(3, 256, dtype=torch.int64)
    counts[0, 51] = counts[1, 0] = counts[1, 255] = counts[2, 0] = 8
    mean, std = statistics(counts)
    assert mean == pytest.approx((0.2, 0.5, 0))
    assert std == pytest.approx((1 / 255, 0.5, 1 / 255))


def test_resizing_takes_the_centred_square() -> None:
    image = torch.zeros(1, 1, 10, 30, dtype=torch.uint8)
    image[..., 10:20] = 200
    assert torch.equal(fit_square(image, 10), torch.full((1, 1, 10, 10), 200, dtype=torch.uint8))
    assert torch.equal(fit_square(image, 5), torch.full((1, 1, 5, 5), 200, dtype=torch.uint8))


def test_images_may_fill_half_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "memory_bytes", lambda: 2 * 10 * 3 * 8**2)
    check_memory(10, 8)
    with pytest.raises(UsageError, match="11 images at 8 px need"):
        check_memory(11, 8)
