"""TrivialAugment, wide: one random operation per image (Müller and Hutter 2021).

Operations, magnitudes and rounding are those of torchvision's ``TrivialAugmentWide``; here each
operation works on all images of a batch that drew it.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, conv2d
from torchvision.transforms.v2 import functional

from bneck.proxies.data.augmentation import sampled
from bneck.proxies.data.sending import sent

_BINS = 31
_GREY = (0.2989, 0.587, 0.114)


def trivial_augment(pixels: Tensor, count: int, draw: Generator, own: slice) -> Tensor:
    """Apply one operation of random strength to each image.

    Args:
        pixels: uint8 (b, 3, side, side).
        count: images in the whole batch.
        draw: where random numbers come from.
        own: which of them ``pixels`` holds.
    """
    which = torch.randint(len(OPERATIONS), (count,), generator=draw)[own]
    magnitude = torch.randint(_BINS, (count,), generator=draw)[own] / (_BINS - 1)  # 0 to 1
    sign = torch.where(torch.rand(count, generator=draw) < 0.5, -1.0, 1.0)[own]
    result = pixels.clone()
    for number, operation in enumerate(OPERATIONS.values()):
        rows = (which == number).nonzero().squeeze(1)
        if len(rows):
            here = sent(rows, pixels.device)
            result[here] = operation(pixels[here], magnitude[rows], sign[rows])
    return result


def _affine(pixels: Tensor, matrix: list[list[Tensor]]) -> Tensor:
    """Sample at places given in pixels from the centre, nearest, black outside."""
    theta = torch.stack([torch.stack(row, 1) for row in matrix], 1)  # (b, 2, 3)
    theta[:, :, 2] *= 2 / pixels.shape[-1]
    grid = affine_grid(sent(theta, pixels.device), list(pixels.shape), align_corners=False)
    return sampled(pixels, grid, "nearest", "zeros")


def _shear_x(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    shear, one, zero = 0.99 * magnitude * sign, torch.ones_like(sign), torch.zeros_like(sign)
    half = pixels.shape[-1] / 2  # torchvision shears about the upper edge
    return _affine(pixels, [[one, shear, shear * half], [zero, one, zero]])


def _shear_y(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    shear, one, zero = 0.99 * magnitude * sign, torch.ones_like(sign), torch.zeros_like(sign)
    half = pixels.shape[-1] / 2
    return _affine(pixels, [[one, zero, zero], [shear, one, shear * half]])


def _translate_x(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    one, zero = torch.ones_like(sign), torch.zeros_like(sign)
    return _affine(pixels, [[one, zero, -(32 * magnitude * sign).trunc()], [zero, one, zero]])


def _translate_y(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    one, zero = torch.ones_like(sign), torch.zeros_like(sign)
    return _affine(pixels, [[one, zero, zero], [zero, one, -(32 * magnitude * sign).trunc()]])


def _rotate(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    angle = 135 * math.pi / 180 * magnitude * sign  # counter-clockwise
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(sign)
    return _affine(pixels, [[cos, -sin, zero], [sin, cos, zero]])


def _blend(pixels: Tensor, other: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    """Move from ``other`` (b, 3 or 1, side, side) through the image and beyond."""
    factor = sent(1 + 0.99 * magnitude * sign, pixels.device)[:, None, None, None]
    mixed = pixels.to(torch.float32) * factor + other * (1 - factor)
    return mixed.clamp_(0, 255).to(torch.uint8)


def _grey(pixels: Tensor) -> Tensor:
    weights = sent(torch.tensor(_GREY), pixels.device)[:, None, None]
    return (pixels * weights).sum(1, keepdim=True).floor()  # (b, 1, side, side)


def _brightness(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    return _blend(pixels, torch.zeros((), device=pixels.device), magnitude, sign)


def _colour(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    return _blend(pixels, _grey(pixels), magnitude, sign)


def _contrast(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    return _blend(pixels, _grey(pixels).mean((1, 2, 3), keepdim=True), magnitude, sign)


def _sharpness(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    kernel = torch.ones(3, 1, 3, 3, device=pixels.device)
    kernel[:, :, 1, 1] = 5
    blurred = pixels.to(torch.float32)
    inside = conv2d(blurred, kernel / 13, groups=3).round_()
    blurred[:, :, 1:-1, 1:-1] = inside
    return _blend(pixels, blurred, magnitude, sign)


def _posterize(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    dropped = (6 * magnitude).round().to(torch.int64)  # of 8 bits
    mask = (255 >> dropped << dropped).to(torch.uint8)
    return pixels & sent(mask, pixels.device)[:, None, None, None]


def _solarize(pixels: Tensor, magnitude: Tensor, sign: Tensor) -> Tensor:
    threshold = sent(255 * (1 - magnitude), pixels.device)[:, None, None, None]
    return torch.where(pixels >= threshold, 255 - pixels, pixels)


OPERATIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "Identity": lambda pixels, magnitude, sign: pixels,
    "ShearX": _shear_x,
    "ShearY": _shear_y,
    "TranslateX": _translate_x,
    "TranslateY": _translate_y,
    "Rotate": _rotate,
    "Brightness": _brightness,
    "Color": _colour,
    "Contrast": _contrast,
    "Sharpness": _sharpness,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "AutoContrast": lambda pixels, magnitude, sign: functional.autocontrast(pixels),
    "Equalize": lambda pixels, magnitude, sign: functional.equalize(pixels),
}
"""torchvision's word -> function of uint8 (b, 3, side, side), magnitudes 0 to 1 and signs."""
