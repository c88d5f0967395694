"""Image folders: one folder a class, any sizes and modes."""

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from bneck.errors import UsageError
from bneck.progress import Progress
from bneck.proxies.data.image_info import PHOTO_PX, SMALL_PX
from bneck.proxies.data.image_source import ImageSource, check_memory, hold_out, in_memory
from bneck.proxies.data.image_spec import class_folders, files_below

_CHUNK = 64
_NAMED = 3
_SAMPLE = 1000

Files = list[Path]


def load_folder(
    folder: Path, resolution_px: int | None, seed: int, progress: Progress
) -> ImageSource:
    """``folder/train`` with ``folder/val`` (else ``folder/test``), or ``folder``'s classes split.

    Every file that is not hidden counts as an image, wherever it lies below its class. Images are
    turned upright by their EXIF orientation, brought to RGB (16-bit grey scaled, transparency laid
    on white), cropped to the centred square and resized.

    Raises:
        UsageError: a missing or empty folder, fewer than two classes, classes that differ between
            the parts, files that are no whole images (up to three named), too many pixels.
    """
    train, val = class_folders(folder)
    class_names = tuple(sorted(train))
    files, labels = _flat(train, class_names)
    if val is None:
        held_out, kept = hold_out(labels, seed)
        val_files, val_labels = [files[row] for row in held_out], labels[held_out]
        files, labels = [files[row] for row in kept], labels[kept]
    else:
        val_files, val_labels = _flat(val, class_names)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        default = _default_resolution(files)
        side = resolution_px or default
        images = _decode([*files, *val_files], side, default < PHOTO_PX, progress)
    return in_memory(
        f"folder:{folder}",
        class_names,
        (images[: len(files)], labels),
        (images[len(files) :], val_labels),
    )


def read_picture(file: Path, side_px: int) -> NDArray[np.uint8]:
    """One image as a run's images were read: (side, side, 3) RGB, upright, the centred square.

    Raises:
        UsageError: there is no such file, or it is no whole image.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _square(file, side_px)
    except Exception as error:  # decoders fail in many ways on a broken file
        raise UsageError(f"cannot read {file}: {_reason(error)}") from None


def _flat(classes: dict[str, Path], names: Sequence[str]) -> tuple[Files, Tensor]:
    found = [files_below(classes[name]) for name in names]
    files = [file for of_class in found for file in of_class]
    labels = [label for label, of_class in enumerate(found) for _ in of_class]
    return files, torch.tensor(labels)


def _default_resolution(files: Files) -> int:
    """224, or the short side that all of a sample share where that is smaller, but at least 32."""
    sizes = set()
    for file in files[:: len(files) // _SAMPLE + 1]:
        try:
            with Image.open(file) as image:
                sizes.add(image.size)
        except Exception:  # decoding names the bad files, all of them at once
            continue
        if len(sizes) > 1 or min(image.size) >= PHOTO_PX:
            return PHOTO_PX
    return max(SMALL_PX, *(min(size) for size in sizes)) if sizes else PHOTO_PX


def _decode(files: Files, side_px: int, small: bool, progress: Progress) -> Tensor:
    """uint8 (N, 3, side, side); threads pay from photo size on, below they only wait in turn."""
    check_memory(len(files), side_px)
    pixels = np.empty((len(files), side_px, side_px, 3), np.uint8)
    starts = range(0, len(files), _CHUNK)
    bad: list[str] = []
    pool = ThreadPoolExecutor(1 if small else os.cpu_count())
    try:
        chunks = pool.map(partial(_decode_chunk, files, pixels), starts)
        for start, errors in zip(starts, chunks, strict=True):
            bad += errors
            progress("decoding images", min(start + _CHUNK, len(files)), len(files))
    finally:
        pool.shutdown(cancel_futures=True)
    if bad:
        more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        raise UsageError(f"not readable as images: {', '.join(bad[:_NAMED])}{more}")
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _decode_chunk(files: Files, pixels: NDArray[np.uint8], start: int) -> list[str]:
    errors = []
    for row in range(start, min(start + _CHUNK, len(files))):
        try:
            pixels[row] = _square(files[row], pixels.shape[1])
        except Exception as error:  # decoders fail in many ways on a broken file
            errors.append(f"{files[row]} ({_reason(error)})")
    return errors


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return getattr(error, "strerror", None) or str(error)


def _square(file: Path, side_px: int) -> NDArray[np.uint8]:
    image: Image.Image
    with Image.open(file) as image:
        image.draft(None, (side_px, side_px))
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("I"):
            deep = np.asarray(image).astype(np.int64) >> 8
            image = Image.fromarray(deep.clip(0, 255).astype(np.uint8))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
        if image.size != (side_px, side_px):
            image = ImageOps.fit(image, (side_px, side_px), Image.Resampling.BILINEAR)
        return np.asarray(image)
