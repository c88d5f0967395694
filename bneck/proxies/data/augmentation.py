"""How training images are varied: a recipe's words, each drawn from a seeded generator.

Numbers are drawn on the CPU for the whole batch, and pixels stay where they are, so that a batch
is the same on every device and however many processes share it.
"""

import math
from collections.abc import Callable
from random import Random

import torch
from torch import Generator, Tensor
from torch.nn.functional import grid_sample, interpolate, one_hot

from bneck.proxies.data.augmentation_words import AUGMENTATION
from bneck.proxies.data.sending import sent

ERASED = 0.2  # of the images, as torchvision's training of MobileNetV3


def crop_and_flip(squares: Tensor, rows: Tensor, flip: bool, draw: Generator, own: slice) -> Tensor:
    """Shift images by up to an eighth of their side, the border mirrored, and flip half of them.

    Args:
        squares: uint8 (N, 3, side, side).
        rows: int64 (B,), the batch's rows of ``squares``.
        flip: whether a mirrored image still shows its class.
        draw: where random numbers come from.
        own: which images of the batch are wanted.

    Returns:
        uint8 (b, 3, side, side), channels_last: gathered straight into that format.
    """
    side = squares.shape[-1]
    reach = side // 8
    shift = torch.randint(-reach, reach + 1, (2, len(rows), 1), generator=draw)
    y, x = (_mirrored(torch.arange(side) + part, side) for part in shift)
    if flip:
        flipped = torch.rand(len(rows), 1, generator=draw) < 0.5
        x = torch.where(flipped, x.flip(1), x)
    rows, y, x = (sent(each[own], squares.device) for each in (rows, y, x))
    gathered = squares[rows[:, None, None], :, y[:, :, None], x[:, None, :]]  # (b, side, side, 3)
    return gathered.permute(0, 3, 1, 2)


def random_resized_crop(
    squares: Tensor, rows: Tensor, flip: bool, draw: Generator, own: slice
) -> Tensor:
    """Cut 8 to 100 % of each image's area, stretched by up to 4/3, and resize it (bilinear).

    Szegedy et al. 2015, "Going Deeper with Convolutions", section 6. Arguments and result are those
    of ``crop_and_flip``.
    """
    side = squares.shape[-1]
    area, stretch, left, top, mirror = torch.rand(5, len(rows), generator=draw)
    area = (0.08 + 0.92 * area) * side**2
    stretch = torch.exp((2 * stretch - 1) * math.log(4 / 3))
    width = (area * stretch).sqrt().round_().clamp_(1, side)
    height = (area / stretch).sqrt().round_().clamp_(1, side)
    left = (left * (side - width + 1)).floor_()
    top = (top * (side - height + 1)).floor_()
    mirrored = (mirror < 0.5) & flip
    boxes = torch.stack([left, top, width, height], 1).to(torch.int64)  # (B, 4)
    resize = _resized_at_once if squares.is_cuda else _resized_one_by_one
    return resize(squares, rows[own], boxes[own], mirrored[own])


def _resized_one_by_one(squares: Tensor, rows: Tensor, boxes: Tensor, mirrored: Tensor) -> Tensor:
    """Resize (b, 4) boxes of left, top, width, height; 15 times as fast on a CPU as grid_sample."""
    side = squares.shape[-1]
    format_ = torch.channels_last
    result = torch.empty(len(rows), 3, side, side, dtype=torch.uint8, memory_format=format_)
    boxes_of_rows = zip(rows.tolist(), boxes.tolist(), mirrored.tolist(), strict=True)
    for place, (row, (left, top, width, height), mirror) in enumerate(boxes_of_rows):
        box = squares[row, None, :, top : top + height, left : left + width]
        # Integers are resized fast where anti-aliasing is on; nothing here is made smaller.
        whole = interpolate(box, (side, side), mode="bilinear", antialias=True)[0]
        result[place] = whole.flip(2) if mirror else whole
    return result


def _resized_at_once(squares: Tensor, rows: Tensor, boxes: Tensor, mirrored: Tensor) -> Tensor:
    """The same for a GPU, but for the rounding of halves."""
    side = squares.shape[-1]
    place = (torch.arange(side) + 0.5) / side
    left, top, width, height = boxes.T[:, :, None]  # (b, 1) each
    across = torch.where(mirrored[:, None], 1 - place, place)  # (b, side)
    x = left + (across * width - 0.5).clamp(min=0).minimum(width - 1)
    y = top + (place * height - 0.5).clamp(min=0).minimum(height - 1)
    x, y = (sent((2 * one + 1) / side - 1, squares.device) for one in (x, y))
    shape = (len(rows), side, side)
    grid = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], 3)
    return sampled(squares[sent(rows, squares.device)], grid, "bilinear", "border")


def sampled(pixels: Tensor, grid: Tensor, mode: str, border: str) -> Tensor:
    """Sample images at given places; returns the type and shape of ``pixels``.

    Args:
        pixels: uint8 (b, 3, side, side).
        grid: float (b, side, side, 2), places x and y, which run from -1 to 1, edge to edge.
        mode: how values between pixels are found, "bilinear" or "nearest".
        border: what lies outside an image, a ``padding_mode`` of torch's ``grid_sample``.
    """
    found = grid_sample(
        pixels.to(torch.float32), grid, mode=mode, padding_mode=border, align_corners=False
    )
    return found.round_().clamp_(0, 255).to(torch.uint8)


def random_erasing(x: Tensor, count: int, draw: Generator, own: slice) -> Tensor:
    """Blank a rectangle of 2 to 33 % of the area in a fifth of the images.

    Zhong et al. 2017, "Random Erasing Data Augmentation".

    Args:
        x: normalised (b, 3, side, side), in which 0 is the mean colour.
        count: images in the whole batch.
        draw: where random numbers come from.
        own: which of them ``x`` holds.
    """
    side = x.shape[-1]
    chance, area, stretch, left, top = torch.rand(5, count, generator=draw)[:, own, None]
    area = 0.02 + 0.31 * area
    stretch = torch.exp(math.log(0.3) + stretch * (math.log(3.3) - math.log(0.3)))
    width = (area * stretch).sqrt().clamp(max=1) * side  # (b, 1)
    height = (area / stretch).sqrt().clamp(max=1) * side
    place = torch.arange(side) + 0.5  # a pixel is inside with its centre
    left, top = left * (side - width), top * (side - height)
    inside_x = (place >= left) & (place < left + width)  # (b, side)
    inside_y = (place >= top) & (place < top + height)
    erased = inside_y[:, :, None] & inside_x[:, None, :] & (chance < ERASED)[:, :, None]
    return x.masked_fill(sent(erased[:, None], x.device), 0.0)


def mixed(
    x: Tensor, labels: Tensor, classes: int, words: tuple[str, ...], draw: Generator
) -> tuple[Tensor, Tensor]:
    """Mix each image with its neighbour in the batch, by one of ``MIXES``.

    mixup: Zhang et al. 2018, weights from Beta(0.2, 0.2). cutmix: Yun et al. 2019, a box of uniform
    area. Neighbours are images 0 and 1, 2 and 3, ...; the batch is a random order anyway.

    Args:
        x: (b, 3, side, side).
        labels: int64 (b,).
        classes: how many there are.
        words: those of ``MIXES`` to choose from for this batch.
        draw: where random numbers come from.

    Returns:
        (b, 3, side, side) and the share of each class, float32 (b, classes).
    """
    random = Random(int(torch.randint(2**62, (), generator=draw)))
    word = random.choice(words)
    places = torch.arange(len(x))
    partner = sent(torch.where((places ^ 1) < len(x), places ^ 1, places), x.device)
    if word == "mixup":
        share = random.betavariate(0.2, 0.2)
        x = x.lerp(x[partner], 1 - share)
    else:
        side = x.shape[-1]
        half = math.sqrt(1 - random.random()) * side / 2
        (top, bottom), (left, right) = (
            (max(0, round(centre - half)), min(side, round(centre + half)))
            for centre in (random.uniform(0, side), random.uniform(0, side))
        )
        share = 1 - (bottom - top) * (right - left) / side**2
        whole, x = x, x.clone()
        x[:, :, top:bottom, left:right] = whole[partner, :, top:bottom, left:right]
    shares = one_hot(labels, classes).to(torch.float32)
    return x, shares.lerp(shares[partner], 1 - share)


def _mirrored(position: Tensor, side: int) -> Tensor:
    return (side - 1) - ((side - 1) - position.abs()).abs()


Crop = Callable[[Tensor, Tensor, bool, Generator, slice], Tensor]
CROP_BY_WORD: dict[str, Crop] = {
    AUGMENTATION: crop_and_flip,
    "random-resized-crop": random_resized_crop,
}
