"""Pictures classified by a run's network, as its validation images were."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote

from bneck.errors import UsageError
from bneck.files import is_written
from bneck.live import warn
from bneck.path_checks import check_file
from bneck.proxies.data.decoding import read_picture
from bneck.proxies.data.file_list import files_below
from bneck.results.exports.classifier import Classifier, open_classifier
from bneck.results.run import Run

Classes = dict[str, float]
"""Probabilities by class, likeliest first."""


def classifier_of(place: Path) -> Classifier:
    """Open the classifier of a run's folder, or of an ONNX file of bneck.

    Raises:
        UsageError: neither, or a run that has no network yet.
    """
    file = place
    if place.is_dir():
        file = (run := Run.read(place)).onnx
        if not is_written(file):
            run.check_single()
            raise UsageError(f"{place} has no {file.name}: {_what_to_do(run)}")
    check_file(file)
    return open_classifier(file)


def _what_to_do(run: Run) -> str:
    """What becomes of a run without an ONNX file, and how to get one."""
    folder, state = quote(str(run.folder)), run.read_state()
    said = [f"the run is {state}"]
    if state == "stopped":
        said.append("run its command again to resume it")
    if is_written(run.weights) and is_written(run.network):
        said.append(f"bneck export {folder} FILE.onnx writes its network as trained so far")
    elif is_written(run.result):
        said.append("files of its folder are missing: copy all of it")
    elif state == "finished":
        said.append(f"it trained no network to keep, as bneck train {folder} does")
    return "; ".join(said)


def classify(
    classifier: Classifier, places: Iterable[Path], top: int | None = None
) -> Iterator[tuple[Path, Classes | UsageError]]:
    """Yield each picture with its classes, or with why it cannot be read (``check_read``).

    Args:
        classifier: the network.
        places: files, and folders, which stand for all files below them that are not hidden.
        top: how many classes to give; all of them unless given.
    """
    for place in places:
        for file in files_below(place) if place.is_dir() else [place]:
            try:
                shares = classifier.probabilities(read_picture(file, classifier.resolution_px))
            except UsageError as error:
                yield file, error
                continue
            rows = (-shares).argsort(kind="stable")[:top]
            yield file, {classifier.classes[row]: float(shares[row]) for row in rows}


def check_read(places: Sequence[Path], unread: Mapping[Path, UsageError], count: int) -> None:
    """Warn of files in folders that are not images, and refuse those that were named themselves.

    Args:
        places: files and folders, as ``classify`` took them.
        unread: why each of the files that could not be read was not.
        count: of the pictures that were classified.

    Raises:
        UsageError: names every file that was named and not read; or there was no picture at all.
    """
    if passed_over := passed_over_in(places, unread):
        warn(f"passed over, as they are not images: {', '.join(passed_over)}")
    bad = [str(error) for file, error in unread.items() if file in places]
    if bad or (places and not count):
        raise UsageError("; ".join(bad) or f"no images in {', '.join(map(str, places))}")


def passed_over_in(places: Sequence[Path], unread: Mapping[Path, UsageError]) -> list[str]:
    """Return the files of folders among ``places`` that could not be read."""
    return [str(file) for file in unread if file not in places]
