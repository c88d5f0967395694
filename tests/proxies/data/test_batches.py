"""Batches: by seed and step alone, each image once in an epoch."""

import torch

from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_source import ImageSource, in_memory


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
