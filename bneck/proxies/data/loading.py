"""Image sets by name: ``digits``, ``fashion-mnist``, ``cifar10``, ``folder:DIR``, ``npz:FILE``."""

import contextlib
import itertools
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bneck.errors import BneckError, UsageError
from bneck.progress import Progress, silent
from bneck.proxies.data.folder import load_folder
from bneck.proxies.data.image_info import PHOTO_PX, SMALL_PX
from bneck.proxies.data.image_source import ImageSource, in_memory
from bneck.proxies.data.image_spec import check_images, place_of
from bneck.proxies.data.rows import fit_square
from bneck.proxies.score_cache import cache_folder

_CIFAR_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_CIFAR_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"


def load(
    spec: str,
    *,
    resolution_px: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> ImageSource:
    """The images that ``spec`` names, squares of ``resolution_px``, in memory.

    - ``digits``: scikit-learn's 1,797 handwritten digits of 8 px; nothing is downloaded.
    - ``fashion-mnist``, ``cifar10``: downloaded into ``$BNECK_CACHE`` or ``~/.cache/bneck``.
    - ``folder:DIR``: ``DIR/train/CLASS/*`` and ``DIR/val/CLASS/*`` (or ``test``), or
      ``DIR/CLASS/*``.
    - ``npz:FILE``: arrays ``x_train, y_train, x_test, y_test``, or ``images, labels``; images are
      uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), labels 0 to classes - 1; optional names of the
      classes in ``class_names``.

    What has no validation part of its own is split 80 : 20, stratified, by ``seed``. Without a
    ``resolution_px`` the set's default is taken: 32 for the named sets, 224 for folders, or the
    images' own side where that is smaller and the same for all.

    Raises:
        UsageError: an unknown name, a missing or malformed file (named), labels out of range, fewer
            than two classes, more pixels than fit into memory.
        BneckError: a download is impossible.
    """
    check_images(spec, resolution_px)
    kind, place = place_of(spec)
    if place is not None and kind == "folder":
        return load_folder(place, resolution_px, seed, progress)
    raw = DATA_SETS[spec]() if place is None else _npz(place)
    return raw.source(spec, resolution_px, seed)


@dataclass(frozen=True)
class _Raw:
    """Images of one size as they come, uint8 (N, 1 or 3, H, W); ``val`` is None before a split."""

    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    val: tuple[Tensor, Tensor] | None = None
    flip: bool = True

    def source(self, name: str, resolution_px: int | None, seed: int) -> ImageSource:
        default = min(max(SMALL_PX, min(self.images.shape[-2:])), PHOTO_PX)
        side = resolution_px or default
        val = None if self.val is None else (_rgb(fit_square(self.val[0], side)), self.val[1])
        return in_memory(
            name,
            self.class_names,
            (_rgb(fit_square(self.images, side)), self.labels),
            val,
            seed=seed,
            flip=self.flip,
        )


def _digits() -> _Raw:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = torch.from_numpy(bunch.images * (255 / 16)).round().to(torch.uint8)
    names = tuple(str(digit) for digit in range(10))
    return _Raw(grey[:, None], torch.from_numpy(bunch.target).long(), names, flip=False)


def _fashion_mnist() -> _Raw:
    from torchvision.datasets import FashionMNIST

    with _downloading("fashion-mnist") as root:
        train, test = (FashionMNIST(root, train=part, download=True) for part in (True, False))
    names = tuple(train.classes)
    return _Raw(train.data[:, None], train.targets, names, (test.data[:, None], test.targets))


def _cifar10() -> _Raw:
    """Read from the binary version's archive, because the Python version is a pickle."""
    from torchvision.datasets.utils import download_url

    with _downloading("cifar10") as root:
        download_url(_CIFAR_URL, str(root), md5=_CIFAR_MD5)
        with tarfile.open(root / "cifar-10-binary.tar.gz") as archive:
            content = {
                Path(member.name).name: file.read()
                for member in archive
                if (file := archive.extractfile(member)) is not None
            }
    names = content["batches.meta.txt"].decode().split()
    images, labels = _cifar_rows(*(content[f"data_batch_{number}.bin"] for number in range(1, 6)))
    return _Raw(images, labels, tuple(names), val=_cifar_rows(content["test_batch.bin"]))


def _cifar_rows(*batches: bytes) -> tuple[Tensor, Tensor]:
    """Rows of one label byte and 3 x 32 x 32 pixel bytes."""
    rows = torch.frombuffer(bytearray(b"".join(batches)), dtype=torch.uint8).view(-1, 3073)
    return rows[:, 1:].view(-1, 3, 32, 32), rows[:, 0].long()


DATA_SETS: dict[str, Callable[[], _Raw]] = {
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
    "cifar10": _cifar10,
}


@contextlib.contextmanager
def _downloading(name: str) -> Iterator[Path]:
    """The cache folder; what a download prints goes to stderr, what it raises becomes one line."""
    root = cache_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with contextlib.redirect_stdout(sys.stderr):
            yield root
    except (OSError, RuntimeError, EOFError, ValueError, tarfile.TarError) as error:
        reason = " ".join(str(error).split())
        raise BneckError(
            f"cannot download {name} into {root}: {reason}; "
            "images at hand can be given as folder:DIR or npz:FILE"
        ) from error


def _npz(path: Path) -> _Raw:
    arrays = _arrays(path)
    has_val = "x_train" in arrays
    keys = ["x_train", "y_train", "x_test", "y_test"] if has_val else ["images", "labels"]
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise UsageError(
            f"{path} has no {', '.join(missing)} but {', '.join(arrays) or 'nothing'}; "
            "it must hold x_train, y_train, x_test, y_test, or images, labels"
        )
    parts = [_labelled(path, arrays, *keys[i : i + 2]) for i in range(0, len(keys), 2)]
    images, labels = parts[0]
    present = set(labels.tolist())
    named = arrays.get("class_names")
    classes = max(present) + 1 if named is None else named.size
    absent = next(label for label in itertools.count() if label not in present)
    if absent < classes:
        raise UsageError(f"{path}: {keys[1]} has no image of class {absent} of 0 to {classes - 1}")
    names = tuple(str(name) for name in (range(classes) if named is None else named.ravel()))
    return _Raw(images, labels, names, parts[1] if has_val else None)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except Exception as error:  # whatever is wrong inside a user's archive
        raise UsageError(f"{path} is not an npz file of plain arrays: {error}") from error


def _labelled(
    path: Path, arrays: dict[str, NDArray[Any]], images_key: str, labels_key: str
) -> tuple[Tensor, Tensor]:
    images, labels = arrays[images_key], arrays[labels_key].squeeze()
    shape = images.shape
    channels = shape[3] if len(shape) == 4 else 1
    if images.dtype != np.uint8 or len(shape) not in (3, 4) or channels not in (1, 3) or 0 in shape:
        raise UsageError(
            f"{path}: {images_key} must be uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), "
            f"not {images.dtype} {shape}"
        )
    if labels.dtype.kind not in "iu" or labels.shape != shape[:1]:
        raise UsageError(
            f"{path}: {labels_key} must be {shape[0]} whole numbers, "
            f"not {labels.dtype} {labels.shape}"
        )
    pixels = torch.from_numpy(images.reshape(*shape[:3], channels)).permute(0, 3, 1, 2)
    return pixels, torch.from_numpy(labels.astype(np.int64))


def _rgb(images: Tensor) -> Tensor:
    """Grey images are shown as three equal channels, which share their memory."""
    return images.expand(-1, 3, -1, -1)
