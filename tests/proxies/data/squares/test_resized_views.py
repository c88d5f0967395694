"""Views of squares at another side."""

import os
from dataclasses import replace
from pathlib import Path

import torch

from bneck.proxies.data.squares.store import all_squares
from tests.proxies.data.squares.loaded import loaded


def test_resized_views_are_mapped_and_equal_those_in_memory(pictures: Path) -> None:
    images = loaded(pictures)
    view = images.for_search(0).resized(8)
    assert len(list(all_squares()[0].place.glob("resized-*-8.u8"))) == 2
    held = replace(images.for_search(0).train, store=None).resized(8)
    assert view.train.pixels().equal(held.pixels())


def test_a_view_that_is_resized_again_takes_no_file_of_other_images(pictures: Path) -> None:
    """Files are named by rows of the store's squares, and its own rows are numbered anew."""
    train = loaded(pictures).train
    rows = torch.arange(len(train))
    plain = replace(train, rows=rows).resized(8)
    backwards = replace(train, rows=rows.flip(0))
    again = backwards.resized(12).resized(8)
    in_memory = replace(backwards, store=None)
    held = in_memory.resized(12).resized(8)
    assert not torch.equal(again.pixels(), plain.pixels())
    assert torch.equal(again.pixels(), held.pixels())
    replace(train, rows=rows).statistics()
    assert backwards.resized(8).statistics() == in_memory.resized(8).statistics()


def test_a_resized_view_that_is_cut_short_is_made_again(pictures: Path) -> None:
    train = loaded(pictures).train
    held = replace(train, store=None).resized(8)
    train.resized(8)
    (file,) = all_squares()[0].place.glob("resized-*-8.u8")
    os.truncate(file, 100)
    assert train.resized(8).pixels().equal(held.pixels())
