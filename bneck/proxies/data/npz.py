"""Image sets as NumPy archives."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bneck.errors import UsageError
from bneck.files import sha256
from bneck.proxies.data import file_list
from bneck.proxies.data.raw import Raw
from bneck.proxies.data.white import scaled, white_of
from bneck.text import distinct

Arrays = Mapping[str, NDArray[Any]]


def load_npz(path: Path) -> Raw:
    """Read arrays ``x_train, y_train, x_test, y_test``, or ``images, labels``.

    Images are (N, H, W), (N, H, W, 1) or (N, H, W, 3) of any numbers from 0 on, scaled by the
    smallest usual range (1, 8 bits, 12 bits and so on) that holds them all. Labels are 0 to
    classes - 1, (N,) or (N, 1); ``class_names`` may name them.

    Raises:
        UsageError: missing or malformed arrays, a class without an image, pixels that are negative,
            not finite or beyond every range.
    """
    arrays = _arrays(path)
    split = ["x_train", "y_train", "x_test", "y_test"]
    keys = split if "x_train" in arrays else ["images", "labels"]
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise UsageError(
            f"{path} has no {', '.join(missing)} but {', '.join(arrays) or 'nothing'}; "
            "it must hold x_train, y_train, x_test, y_test, or images, labels"
        )
    parts = [_labelled(path, arrays, *keys[i : i + 2]) for i in range(0, len(keys), 2)]
    pixels, white = _as_bytes(
        path, {key: part[0] for key, part in zip(keys[::2], parts, strict=True)}
    )
    names = _class_names(path, arrays, keys[1], set(parts[0][1].tolist()))
    labels = [labels for _, labels in parts]
    return Raw(
        dict(zip(("train", "val"), zip(pixels, labels, strict=True), strict=False)),
        names,
        note="" if white in (None, 255) else f"pixels scaled from 0 to {white}",
    )


def archive_stamp(path: Path, *, by_content: bool) -> str:
    """What tells an archive from any other: its name, size and time, or all that it holds."""
    if by_content:
        return sha256(path)
    size, changed = file_list.stamp_of(path.stat())
    return f"{path.name} {size} {changed}"


def _class_names(path: Path, arrays: Arrays, key: str, present: set[int]) -> tuple[str, ...]:
    named = arrays.get("class_names")
    classes = max(present) + 1 if named is None else named.size
    absent = next(label for label in itertools.count() if label not in present)
    if absent < classes:
        raise UsageError(f"{path}: {key} has no image of class {absent} of 0 to {classes - 1}")
    if named is None:
        return tuple(str(label) for label in range(classes))
    if named.dtype.kind == "S":
        named = np.char.decode(named, "utf-8", "replace")
    words = [str(label) for label in range(classes)]
    return distinct([str(name) for name in named.ravel()], words)


def _arrays(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except Exception as error:  # whatever is wrong inside a user's archive
        raise UsageError(f"{path} is not an npz file of plain arrays: {error}") from error


def _labelled(
    path: Path, arrays: Arrays, images_key: str, labels_key: str
) -> tuple[NDArray[Any], Tensor]:
    """(N, channels, H, W) pixels as they are, and their labels."""
    images, labels = arrays[images_key], arrays[labels_key]
    shape = images.shape
    if shape[:1] == (labels.size,):  # (N,), or (N, 1) as some tools write them
        labels = labels.ravel()
    channels = shape[3] if len(shape) == 4 else 1
    is_numeric = images.dtype.kind in "buif"
    if not is_numeric or len(shape) not in (3, 4) or channels not in (1, 3) or 0 in shape:
        raise UsageError(
            f"{path}: {images_key} must be numbers (N, H, W), (N, H, W, 1) or (N, H, W, 3), "
            f"not {images.dtype} {shape}"
        )
    if labels.dtype.kind not in "iu" or labels.shape != shape[:1]:
        raise UsageError(
            f"{path}: {labels_key} must be {shape[0]} whole numbers, "
            f"not {labels.dtype} {labels.shape}"
        )
    pixels = images.reshape(*shape[:3], channels).transpose(0, 3, 1, 2)
    return pixels, torch.from_numpy(labels.astype(np.int64))


def _as_bytes(path: Path, parts: Arrays) -> tuple[list[Tensor], int | None]:
    """uint8 pixels of all parts by one scale, and the value that means white."""
    for key, pixels in parts.items():
        low, high = pixels.min(), pixels.max()
        if not np.isfinite([float(low), float(high)]).all():
            raise UsageError(f"{path}: {key} has pixels that are not finite numbers")
        if low < 0:
            raise UsageError(f"{path}: {key} has negative pixels ({low:g}); they must begin at 0")
    largest = max(float(pixels.max()) for pixels in parts.values())
    floats = any(pixels.dtype.kind == "f" for pixels in parts.values())
    white = 1 if 0 < largest <= 1 else white_of(largest, floats=floats)
    if white is None:
        raise UsageError(f"{path} has pixels up to {largest:g}; at most 65535 is understood")
    return [torch.from_numpy(scaled(pixels, white)) for pixels in parts.values()], white
