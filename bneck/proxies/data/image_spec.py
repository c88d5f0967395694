"""The words that name images, checked before any image is read."""

import os
from pathlib import Path

from bneck.errors import UsageError, unknown
from bneck.files import check_file, check_folder
from bneck.space.checks import check_range

NAMED_SETS = ("digits", "fashion-mnist", "cifar10")
_NAMED = 3


def check_images(spec: str, resolution_px: int | None = None) -> None:
    """Raise UsageError where ``loading.load`` would, as far as that costs no reading."""
    if resolution_px is not None:
        check_range("resolution", resolution_px, 8, 2048)
    kind, place = place_of(spec)
    if kind == "folder" and place is not None:
        class_folders(place)
    elif kind == "npz" and place is not None:
        check_file(place)
    elif spec not in NAMED_SETS:
        raise unknown("image data", spec, [*NAMED_SETS, "folder:DIR", "npz:FILE"])


def place_of(spec: str) -> tuple[str, Path | None]:
    """The kind of images, and where they are: ("folder", DIR) of ``folder:DIR``."""
    kind, _, place = spec.partition(":")
    return kind, Path(os.path.expanduser(place)) if place else None


def class_folders(folder: Path) -> tuple[dict[str, Path], dict[str, Path] | None]:
    """The folders of the classes, for training and for validation; None where there is one part.

    Raises:
        UsageError: a missing or empty folder, fewer than two classes, a class without a file,
            classes that differ between the parts.
    """
    try:
        return _parts(folder)
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}") from error


def files_below(folder: Path) -> list[Path]:
    """Every file that is not hidden, wherever it lies below the folder, by name."""
    return sorted(path for path in folder.rglob("*") if _counts(path))


def _parts(folder: Path) -> tuple[dict[str, Path], dict[str, Path] | None]:
    check_folder(folder)
    if not (folder / "train").is_dir():
        return _classes(folder), None
    train = _classes(folder / "train")
    for name in ("val", "test"):
        if (folder / name).is_dir():
            val = _classes(folder / name)
            if train.keys() != val.keys():
                odd = ", ".join(sorted(train.keys() ^ val.keys())[:_NAMED])
                raise UsageError(
                    f"the classes of {folder / 'train'} and {folder / name} differ: "
                    f"only one of them has {odd}"
                )
            return train, val
    return train, None


def _classes(folder: Path) -> dict[str, Path]:
    classes = {
        entry.name: entry
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".")
    }
    if len(classes) < 2:
        found = f"one ({next(iter(classes))})" if classes else "none"
        raise UsageError(
            f"{folder} must hold at least 2 folders of images, one a class; found {found}"
        )
    for name, entry in classes.items():
        if not any(_counts(path) for path in entry.rglob("*")):
            raise UsageError(f"no images in {folder / name}")
    return classes


def _counts(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")
