import pytest
import torch

from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.squares_on_device import ReadAhead, Resident

CPU = torch.device("cpu")


@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.parametrize("kind", ["resident", "read ahead"])
@pytest.mark.parametrize("crop", ["crop-and-flip", "random-resized-crop"])
def test_batches_are_the_same_wherever_squares_are(
    crop: str, kind: str, processes: int, digits: ImageSource
) -> None:
    images, last = digits.for_search(0), processes - 1
    usual, moved = (
        Batches(images, 64, 5, f"{crop}+mixup", rank=last, processes=processes) for _ in range(2)
    )
    train = images.train
    moved._squares = (
        Resident(train, CPU) if kind == "resident" else ReadAhead(train, CPU, moved._own)
    )
    for step in (0, 1, 2, 17, 18, 5):  # over the end of an epoch, and back
        pairs = zip(usual[step], moved[step], strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


def test_a_process_reads_its_own_part_of_a_batch(digits: ImageSource) -> None:
    rows = torch.arange(64)
    squares, places = ReadAhead(digits.train, CPU, slice(16, 32)).read(rows, rows)
    assert torch.equal(squares, digits.train.pixels(rows[16:32]))
    assert torch.equal(squares[places[16:32]], squares)
