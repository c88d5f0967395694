"""Image sets by name: ``digits``, ``fashion-mnist``, ``cifar10``, ``folder:DIR``, ``npz:FILE``."""

import contextlib
import os
import socket
import sys
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bneck.errors import BneckError
from bneck.files import cache_folder
from bneck.locks import locked
from bneck.progress import Progress, silent
from bneck.proxies.data.folder import load_folder
from bneck.proxies.data.image_info import ImageInfo
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.image_spec import check_images, place_of
from bneck.proxies.data.npz import archive_stamp, load_npz
from bneck.proxies.data.raw import Raw
from bneck.proxies.data.squares.from_arrays import load_arrays
from bneck.proxies.data.squares.source import source_of
from bneck.proxies.data.squares.store import pointed_to

_CIFAR_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_CIFAR_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"


def load(
    spec: str,
    *,
    resolution_px: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
    skip_unreadable: bool = False,
    by_content: bool = False,
    fingerprint: str | None = None,
    accept: Callable[[ImageInfo], object] | None = None,
) -> ImageSource:
    """Load the images that ``spec`` names, as squares.

    - ``digits``: scikit-learn's 1,797 handwritten digits of 8 px; nothing is downloaded.
    - ``fashion-mnist``, ``cifar10``: downloaded into the cache (``files.cache_folder``).
    - ``folder:DIR``: ``DIR/train/CLASS/*`` with ``DIR/val/CLASS/*`` and ``DIR/test/CLASS/*`` if
      there are any, or ``DIR/CLASS/*`` (``layout``); decoded once into a file (``squares``).
    - ``npz:FILE``: arrays ``x_train, y_train, x_test, y_test``, or ``images, labels`` (``npz``).

    Arrays of 64 MB of squares and more are written into such a file as well.

    What has no validation part of its own is split 80 : 20, stratified, by ``seed``.

    Args:
        spec: one of the words above.
        resolution_px: side of the squares; None for 32 for the named sets, 224 for folders, or the
            images' own side where that is smaller and the same for all.
        seed: decides the split.
        progress: told what the set holds, what speaks against it, and how far decoding is.
        skip_unreadable: pass over up to 1 % of a folder's files that are not whole images.
        by_content: read the files to tell whether they are those that were decoded before.
        fingerprint: of the images that are expected, by which prepared squares are found at once.
        accept: raises where these images will not do; asked before a folder is decoded, as
            ``load_folder`` does, and of all others once they are loaded.

    Raises:
        UsageError: an unknown name, a missing or malformed file (named), labels out of range, fewer
            than two classes, more pixels than fit into memory.
        BneckError: a download is impossible, there is no room for the squares, or the images have
            another fingerprint.
    """
    kind, place = place_of(spec)
    prepared = pointed_to(fingerprint) if fingerprint is not None else None
    if prepared is not None:
        images = source_of(prepared, f"folder:{place}" if kind == "folder" else spec, seed)
    else:
        check_images(spec, resolution_px)
        if place is None:
            images = load_arrays(spec, spec, DATA_SETS[spec], resolution_px, seed, progress)
        elif kind == "npz":
            stamp, read = archive_stamp(place, by_content=by_content), partial(load_npz, place)
            images = load_arrays(spec, stamp, read, resolution_px, seed, progress)
        else:
            images = load_folder(
                place,
                resolution_px,
                seed,
                progress,
                skip_unreadable=skip_unreadable,
                by_content=by_content,
                accept=accept,
            )
    if accept is not None and (kind != "folder" or prepared is not None):
        accept(images.info)
    if fingerprint not in (None, images.info.fingerprint):
        raise BneckError(
            f"{spec} on {socket.gethostname()} holds other images than the run began with: "
            f"fingerprint {images.info.fingerprint}, not {fingerprint}"
        )
    return images


def _digits() -> Raw:
    """Read from scikit-learn's file, as to import the library takes almost as long as torch."""
    file = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    rows = np.loadtxt(str(file), delimiter=",")  # 64 pixels from 0 to 16, and the label
    pixels = rows[:, :-1].reshape(-1, 8, 8)
    grey = torch.from_numpy(pixels * (255 / 16)).round().to(torch.uint8)
    names = tuple(str(digit) for digit in range(10))
    labels = torch.from_numpy(rows[:, -1]).long()
    return Raw({"train": (grey[:, None], labels)}, names, flip=False)


def _fashion_mnist() -> Raw:
    from torchvision.datasets import FashionMNIST

    with _downloading("fashion-mnist") as root:
        train, test = (FashionMNIST(root, train=part, download=True) for part in (True, False))
    parts = {"train": train, "val": test}
    return Raw(
        {part: (images.data[:, None], images.targets) for part, images in parts.items()},
        tuple(train.classes),
    )


def _cifar10() -> Raw:
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
    train = _cifar_rows(*(content[f"data_batch_{number}.bin"] for number in range(1, 6)))
    return Raw({"train": train, "val": _cifar_rows(content["test_batch.bin"])}, tuple(names))


def _cifar_rows(*batches: bytes) -> tuple[Tensor, Tensor]:
    """Rows of one label byte and 3 x 32 x 32 pixel bytes."""
    rows = torch.frombuffer(bytearray(b"".join(batches)), dtype=torch.uint8).view(-1, 3073)
    return rows[:, 1:].view(-1, 3, 32, 32), rows[:, 0].long()


DATA_SETS: dict[str, Callable[[], Raw]] = {
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
    "cifar10": _cifar10,
}


@contextlib.contextmanager
def _downloading(name: str) -> Iterator[Path]:
    """The cache folder; what a download prints goes to stderr, what it raises becomes one line.

    One process downloads at a time; from a cache that is read-only, all read what is there.
    """
    root = cache_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        alone = locked(root / name) if os.access(root, os.W_OK) else contextlib.nullcontext()
        with alone, contextlib.redirect_stdout(sys.stderr):
            yield root
    except (OSError, RuntimeError, EOFError, ValueError, tarfile.TarError) as error:
        reason = " ".join(str(error).split())
        raise BneckError(
            f"cannot download {name} into {root}: {reason}; "
            "images at hand can be given as folder:DIR or npz:FILE"
        ) from error
