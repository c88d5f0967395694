"""The words that name images, checked before any image is read."""

from pathlib import Path
from zipfile import ZipFile, is_zipfile

from bneck.errors import UsageError, unknown
from bneck.files import path_of
from bneck.path_checks import check_file
from bneck.proxies.data.file_list import is_left_behind
from bneck.proxies.data.layout import find_parts
from bneck.space.checks import check_resolution

NAMED_SETS = ("digits", "fashion-mnist", "cifar10")


def check_images(spec: str, resolution_px: int | None = None) -> None:
    """Raise UsageError where ``loading.load`` would, as far as that costs no reading."""
    if resolution_px is not None:
        check_resolution(resolution_px)
    kind, place = place_of(spec)
    if kind == "folder" and place is not None:
        find_parts(place)
    elif kind == "npz" and place is not None:
        check_file(place)
        if not is_zipfile(place):
            raise UsageError(f"{place} is not an npz file, which is a zip file of arrays")
    elif spec not in NAMED_SETS:
        if spec and Path(spec).exists():
            kind = "folder" if Path(spec).is_dir() else "npz"
            raise UsageError(f"unknown image data {spec!r}; did you mean {kind}:{spec}?")
        raise unknown("image data", spec, [*NAMED_SETS, "folder:DIR", "npz:FILE"])


def check_apart(spec: str, out: Path) -> None:
    """Raise UsageError where ``out`` lies among the images, so that its files count as some.

    Beside the folders of the parts, or in a hidden folder, it does not.
    """
    kind, place = place_of(spec)
    if kind != "folder" or place is None:
        return
    found = find_parts(place)
    classes = [folder.parent for some in found.classes.values() for folder in some.values()]
    for root in {*classes, *found.flat.values()}:
        if not (inside := out.resolve()).is_relative_to(root.resolve()):
            continue
        if not any(map(is_left_behind, inside.relative_to(root.resolve()).parts)):
            raise UsageError(
                f"{out} is in {root}, and its files would count as images: name an --out elsewhere"
            )


def is_divided_by_seed(spec: str) -> bool:
    """Whether images have no validation part of their own, so that the seed makes one.

    Raises:
        UsageError: as ``check_images``.
    """
    check_images(spec)
    kind, place = place_of(spec)
    if place is None:
        return spec == "digits"
    if kind == "folder":
        found = find_parts(place)
        return not {"val", "test"} & {*found.classes, *found.flat}
    with ZipFile(place) as archive:
        return "x_train.npy" not in archive.namelist()


def place_of(spec: str) -> tuple[str, Path | None]:
    """The kind of images, and where they are: ("folder", DIR) of ``folder:DIR``."""
    kind, _, place = spec.partition(":")
    return kind, path_of(place) if place else None
