"""Folders of images: their parts, classes and files. No image is opened here."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bneck.errors import UsageError
from bneck.files import sha256
from bneck.path_checks import check_folder
from bneck.progress import Progress
from bneck.proxies.data import file_list, ground_truth
from bneck.proxies.data.file_list import Stamp, is_left_behind
from bneck.proxies.data.image_info import ImageInfo
from bneck.proxies.data.layout_hints import check_no_parts, subfolders, too_few
from bneck.text import in_list

FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""Part -> names of its folder, in upper or lower case; a class cannot have these."""
_NAMED = 3
_TOLD_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Parts:
    """The folders of a set.

    Attributes:
        folder: the set's own folder.
        classes: by part ("train", "val", "test"), the folder of each class.
        flat: by part, the folder of one that has no class folders but a ground truth.
        beside: names of other files and folders beside the parts or classes.
    """

    folder: Path
    classes: Mapping[str, Mapping[str, Path]]
    flat: Mapping[str, Path]
    beside: tuple[str, ...]

    @property
    def class_folders(self) -> tuple[str, ...]:
        """Names of the class folders, sorted: their order is the labels' order."""
        return tuple(sorted(self.classes["train"]))


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one part, in order, with their labels.

    Attributes:
        paths: relative to the set's folder.
        stamps: what tells whether a file is the same: a ``Stamp``, or a digest of its content.
        labels: number of each file's class.
    """

    paths: list[str]
    stamps: list[Stamp] | list[str]
    labels: list[int]


@dataclass(frozen=True, slots=True)
class Layout:
    """All files of a set by part, and what was passed over (by name, with its count)."""

    folder: Path
    class_names: tuple[str, ...]
    parts: Mapping[str, Files]
    passed_over: Mapping[str, int]
    beside: tuple[str, ...]

    def files(self) -> list[Path]:
        """All files, part by part."""
        return [self.folder / path for files in self.parts.values() for path in files.paths]

    def facts(self, side_px: int) -> ImageInfo:
        """Return what is known before any image is decoded: no statistics, no fingerprint."""
        train, val, test = (len(self.parts[p].paths) if p in self.parts else 0 for p in FOLDERS)
        val, test = (val, test) if val else (test, 0)
        name = f"folder:{self.folder}"
        return ImageInfo(name, self.class_names, side_px, (), (), True, train, val, "", test)


def find_parts(folder: Path) -> Parts:
    """Find the folders of the parts and classes, without listing their files.

    Raises:
        UsageError: a missing or empty folder, two folders for one part, parts without one to train
            on, fewer than two classes, classes that differ between the parts.
    """
    try:
        return _find_parts(folder)
    except OSError as error:
        raise UsageError(f"cannot read {error.filename or folder}: {error.strerror}") from error


def read_layout(folder: Path) -> Layout:
    """List all files of a set.

    Raises:
        UsageError: as ``find_parts``; also a class without a file.
    """
    found = find_parts(folder)
    names = found.class_folders
    passed_over: Counter[str] = Counter()
    try:
        parts = {
            part: _files_of_classes(found.folder, classes, names, passed_over)
            for part, classes in found.classes.items()
        }
        for part, place in found.flat.items():
            below = file_list.listed(place, passed_over)
            listed = [one for one in below if one[0] not in ground_truth.OF_PART]
            labels = ground_truth.labels(found.folder, place, [one[0] for one in listed], names)
            parts[part] = _files(found.folder, place, listed, labels)
        places = (place for classes in found.classes.values() for place in classes.values())
        for around in {folder, *(place.parent for place in places)}:
            file_list.count_left_behind(around, passed_over)
        shown = ground_truth.display_names(found.folder, names)
    except OSError as error:
        raise UsageError(f"cannot read {error.filename or folder}: {error.strerror}") from error
    return Layout(folder, shown, parts, dict(passed_over), found.beside)


def with_digests(layout: Layout, progress: Progress) -> Layout:
    """Return a layout whose files are told by their content; all of them are read.

    Raises:
        UsageError: a file that cannot be read.
    """
    total = sum(len(files.paths) for files in layout.parts.values())
    done, parts = 0, {}
    for part, files in layout.parts.items():
        digests = []
        for path in files.paths:
            try:
                digests.append(sha256(layout.folder / path))
            except OSError as error:
                raise UsageError(
                    f"cannot read {path} in {layout.folder}: {error.strerror}"
                ) from error
            done += 1
            if done % _TOLD_EVERY == 0 or done == total:
                progress("checking images", done, total)
        parts[part] = replace(files, stamps=digests)
    return replace(layout, parts=parts)


def _find_parts(folder: Path) -> Parts:
    check_folder(folder)
    entries = {entry.name: entry for entry in folder.iterdir() if not is_left_behind(entry.name)}
    folders = {name: entry for name, entry in entries.items() if entry.is_dir()}
    parts = {part: _part(folder, folders, part) for part in FOLDERS}
    if all(place is None for place in parts.values()):
        check_no_parts(folder, folders, FOLDERS)
        beside = tuple(sorted(entries.keys() - folders.keys()))
        return Parts(folder, {"train": _classes(folder, folders)}, {}, beside)
    train = parts["train"]
    if train is None:
        held = ", ".join(place.name for place in parts.values() if place is not None)
        raise UsageError(
            f"{folder} has {held} and no train folder; folders of these names are parts of a set, "
            "never classes"
        )
    classes, flat = {"train": _classes(train, subfolders(train))}, {}
    for part in ("val", "test"):
        if (place := parts[part]) is None:
            continue
        inner = subfolders(place)
        if not inner and ground_truth.find(folder, place) is not None:
            flat[part] = place
            continue
        if all(is_left_behind(entry.name) for entry in place.iterdir()):
            raise UsageError(f"{place} is empty: remove it, or put a folder for each class into it")
        if not inner:
            raise UsageError(
                f"{place} has no folder for each class, and no {ground_truth.TRUTHS[-1]} says of "
                "which class its images are; images of unknown classes belong elsewhere"
            )
        classes[part] = inner
        if classes[part].keys() != classes["train"].keys():
            odd = sorted(classes[part].keys() ^ classes["train"].keys())[:_NAMED]
            raise UsageError(
                f"the classes of {train} and {place} differ: only one of them has "
                f"{', '.join(map(in_list, odd))}"
            )
    used = {place.name for place in parts.values() if place is not None}
    known = used | ground_truth.FILES
    return Parts(folder, classes, flat, tuple(sorted(entries.keys() - known)))


def _part(folder: Path, folders: Mapping[str, Path], part: str) -> Path | None:
    found = sorted(name for name in folders if name.lower() in FOLDERS[part])
    if len(found) > 1:
        raise UsageError(f"{folder} has {' and '.join(found)}: only one of them can be used")
    return folders[found[0]] if found else None


def _classes(folder: Path, classes: Mapping[str, Path]) -> Mapping[str, Path]:
    if len(classes) < 2:
        raise too_few(folder, classes)
    return classes


def _files_of_classes(
    root: Path, classes: Mapping[str, Path], names: tuple[str, ...], passed_over: Counter[str]
) -> Files:
    paths: list[str] = []
    stamps: list[Stamp] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        listed = file_list.listed(classes[name], passed_over)
        if not listed:
            raise UsageError(f"no images in {classes[name]}")
        prefix = _prefix(root, classes[name])
        paths.extend(prefix + path for path, _ in listed)
        stamps.extend(stamp for _, stamp in listed)
        labels.extend([label] * len(listed))
    return Files(paths, stamps, labels)


def _files(root: Path, place: Path, listed: list[tuple[str, Stamp]], labels: list[int]) -> Files:
    prefix = _prefix(root, place)
    return Files([prefix + path for path, _ in listed], [stamp for _, stamp in listed], labels)


def _prefix(root: Path, place: Path) -> str:
    return f"{place.relative_to(root).as_posix()}/"
