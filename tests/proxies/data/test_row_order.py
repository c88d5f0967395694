"""Orders of rows: classes equally often, or in proportion, by seed and step alone."""

import pytest
import torch

from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_source import ImageSource, in_memory
from bneck.proxies.data.row_order import balanced_order, hold_out, rows_by_class, stratified_order

SIZES = (90, 25, 5)


@pytest.fixture
def unequal() -> ImageSource:
    labels = torch.cat([torch.full((size,), label) for label, size in enumerate(SIZES)])
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (len(labels), 3, 8, 8), dtype=torch.uint8, generator=draw)
    return in_memory("unequal", "abc", (pixels, labels), (pixels[:3].flip(0), labels[:3]))


def test_an_epoch_shows_all_classes_equally_often(unequal: ImageSource) -> None:
    labels = unequal.train.labels
    order = balanced_order(labels, torch.Generator().manual_seed(1))
    assert labels[order].bincount().tolist() == [40, 40, 40]
    times = order.bincount(minlength=len(labels))
    for label, (least, most) in enumerate([(0, 1), (1, 2), (8, 8)]):
        assert (times[labels == label].min(), times[labels == label].max()) == (least, most)


def test_what_does_not_divide_differs_by_one() -> None:
    labels = torch.tensor([0] * 9 + [1])
    assert sorted(labels[balanced_order(labels, torch.Generator())].bincount().tolist()) == [5, 5]
    labels = torch.tensor([0] * 8 + [1] * 2 + [2])
    counts = labels[balanced_order(labels, torch.Generator())].bincount().tolist()
    assert sorted(counts) == [3, 4, 4]
    labels = torch.tensor([0] * 9 + [2] * 2)  # and a class may be absent
    counts = labels[balanced_order(labels, torch.Generator())].bincount().tolist()
    assert sorted(counts) == [0, 5, 6]


def test_balanced_batches_depend_on_seed_and_step_only(unequal: ImageSource) -> None:
    batches, again = (Batches(unequal, 30, seed=5, balanced=True) for _ in range(2))
    late = batches[9][1]
    batches[2]
    assert torch.equal(late, again[9][1])
    shown = torch.cat([batches[step][1] for step in range(batches.steps_per_epoch)])
    assert shown.bincount().tolist() == [40, 40, 40]


def test_folds_are_stratified_and_hold_every_image_once() -> None:
    labels = torch.arange(100) % 4
    contents = torch.arange(100).clamp_min(9)  # images 0 to 9 are the same picture
    parts = [hold_out(labels, 3, contents, fold=fold, folds=5) for fold in range(5)]
    assert sorted(torch.cat([chosen for chosen, _ in parts]).tolist()) == list(range(100))
    for chosen, kept in parts:
        assert sorted(torch.cat([chosen, kept]).tolist()) == list(range(100))
        assert not torch.isin(contents[chosen], contents[kept]).any()
        counts = labels[chosen[contents[chosen] > 9]].bincount(minlength=4)
        assert int(counts.max() - counts.min()) <= 2


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
