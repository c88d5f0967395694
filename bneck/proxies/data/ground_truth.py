"""Labels and class names that lie in files beside the images, as ImageNet's do."""

from collections.abc import Container, Sequence
from pathlib import Path

from bneck.errors import UsageError
from bneck.files import read_text
from bneck.text import distinct, number_of, spelt_out

CLASSES = "classes.txt"
TRUTHS = ("ILSVRC2012_validation_ground_truth.txt", "LOC_val_solution.csv", "ground_truth.txt")
"""One label for each image in the order of the names, or one (name, label) per line."""
META = "meta.mat"
OF_PART = {META, *TRUTHS}
"""Files that may lie in the part itself, among its images."""
_DEVKIT = "ILSVRC2012_devkit_t12"
FILES = {CLASSES, _DEVKIT, *OF_PART}
"""What may lie beside the parts."""


def find(folder: Path, part: Path) -> Path | None:
    """Return the file that holds the labels of a part without class folders, if there is one."""
    devkit = folder / _DEVKIT / "data"
    places = (place / name for place in (folder, part, devkit) for name in TRUTHS)
    return next((place for place in places if place.is_file()), None)


def labels(folder: Path, part: Path, names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Return the label of each image of a part without class folders.

    A line of the ground truth is a class folder's name, or ILSVRC2012's number of the class, for
    the images in the order of their names; or the image's name, then the class, with a comma
    between them where a name has spaces.

    Args:
        folder: the set's.
        part: the part's folder, for which ``find`` finds a file.
        names: paths of the part's images, in order.
        classes: names of the class folders, in the order of their labels.

    Raises:
        UsageError: another number of lines than images, an image without a line, an unknown class.
    """
    truth = find(folder, part)
    assert truth is not None
    numbers = {name: label for label, name in enumerate(classes)}
    rows = [_row(line, numbers) for line in _lines(truth)]
    if truth.suffix == ".csv":
        rows = rows[1:]
    if any(len(row) > 1 for row in rows):
        known: dict[str, str] = {}
        for name, word in (row for row in rows if len(row) > 1):
            if known.setdefault(stem := Path(name).stem, word) != word:
                raise UsageError(
                    f"{truth} has two classes for {stem}, {known[stem]!r} and {word!r}: images are "
                    "told apart by their names without folder and ending"
                )
        missing = next((name for name in names if Path(name).stem not in known), None)
        if missing is not None:
            raise UsageError(f"{truth} has no line for {missing}")
        words = [known[Path(name).stem] for name in names]
    elif len(rows) != len(names):
        labels, files = number_of(len(rows), "label"), number_of(len(names), "file")
        raise UsageError(f"{truth} has {labels} for the {files} of {part}")
    else:
        words = [row[0] for row in rows]
    if all(word.isdigit() for word in words) and not numbers.keys() & set(words):
        words = _by_number(truth, words)
    unknown = next((word for word in words if word not in numbers), None)
    if unknown is not None:
        raise UsageError(f"{truth}: {unknown!r} is not one of the {len(classes)} class folders")
    return [numbers[word] for word in words]


def display_names(folder: Path, classes: Sequence[str]) -> tuple[str, ...]:
    """Return the classes' names: those of ``classes.txt`` (folder, name), else their folders'.

    Names that the file gives to several classes, as lists of ImageNet's have two cranes, are
    followed by the folder.

    Raises:
        UsageError: a class folder that the file leaves out.
    """
    file, folders = folder / CLASSES, [spelt_out(name) for name in classes]
    if not file.is_file():
        return distinct(folders, [str(label) for label in range(len(classes))])
    rows = [line.replace("\t", " ").strip().partition(" ") for line in _lines(file)]
    shown = {first.rstrip(",:"): rest.strip() or first for first, _, rest in rows}
    if len(rows) == len(classes) and not shown.keys() & set(classes):
        names = [" ".join(part for part in (first, rest) if part) for first, _, rest in rows]
        return distinct(names, folders)
    missing = next((name for name in classes if name not in shown), None)
    if missing is not None:
        raise UsageError(f"{file} has no line for the class folder {missing}")
    return distinct([shown[name] for name in classes], folders)


def _row(line: str, classes: Container[str]) -> list[str]:
    """The class that a line says, or the image's name and the class; what follows is left out."""
    line = line.strip()
    if line in classes:
        return [line]
    parted = line.partition(",") if "," in line else line.replace("\t", " ").partition(" ")
    name, rest = parted[0].strip(), parted[2].strip()
    words = rest.replace(",", " ").split()
    return [name, rest if rest in classes else words[0]] if words else [name]


def _by_number(truth: Path, words: Sequence[str]) -> list[str]:
    """Names of the classes that ILSVRC2012 numbers from 1, in an order of its own."""
    meta = truth.with_name(META)
    if not meta.is_file():
        raise UsageError(
            f"{truth} numbers its classes in ILSVRC2012's own order: put the devkit's {META} "
            f"beside it"
        )
    from scipy.io import loadmat

    try:
        rows = loadmat(str(meta), squeeze_me=True)["synsets"]
        wnids = {str(int(row["ILSVRC2012_ID"])): str(row["WNID"]) for row in rows}
    except Exception as error:  # whatever is wrong inside a user's file
        raise UsageError(f"{meta} is not the devkit's {META}: {error}") from error
    return [wnids.get(word, word) for word in words]


def _lines(file: Path) -> list[str]:
    return [line for line in read_text(file).splitlines() if line.strip()]
