"""Squares give the same batches wherever they are held."""

import pytest
import torch

from bneck.proxies.data import augmentation, squares_on_device
from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.sending import sent
from bneck.proxies.data.squares_on_device import InMemory, ReadAhead, Resident, squares_for

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


@pytest.mark.parametrize("crop", ["crop-and-flip", "random-resized-crop"])
@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_all_that_is_computed_of_pixels_is_computed_where_they_are(
    crop: str, mix: str, digits: ImageSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device without memory refuses to compute with tensors of the CPU, as a GPU does."""
    monkeypatch.setattr(augmentation, "_resized_one_by_one", augmentation._resized_at_once)
    batches = Batches(digits, 256, 0, f"{crop}+trivial-augment+random-erasing+{mix}")
    batches._squares = Resident(digits.train, torch.device("meta"))
    pixels, shares = batches[0]
    assert pixels.is_meta
    assert shares.is_meta
    assert pixels.shape == (256, 3, 16, 16)
    assert shares.shape == (256, 10)


def test_memory_that_earlier_trainings_have_freed_is_there_for_squares(
    digits: ImageSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, part, whole = [2**20], digits.train, slice(None)
    monkeypatch.setattr(torch.cuda, "empty_cache", kept.clear)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**20 - sum(kept), 2**20))
    monkeypatch.setattr(squares_on_device, "Resident", lambda part, _: Resident(part, CPU))
    gpu = torch.device("cuda", 0)
    assert isinstance(squares_for(gpu, part.take(torch.arange(100)), whole), Resident)
    assert isinstance(squares_for(gpu, part, whole), ReadAhead)  # 1.1 MB
    assert isinstance(squares_for(CPU, part, whole), InMemory)


def test_what_is_sent_to_the_cpu_is_there_already() -> None:
    tensor = torch.zeros(2)
    assert sent(tensor, CPU) is tensor
