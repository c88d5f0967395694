"""What a set of images holds, in one line, and what its user should know before training."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from bneck.progress import Progress
from bneck.proxies.data.file_list import SINGULAR
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.layout import Layout
from bneck.text import in_list, number_of, some_of

_NAMED = 5
FEW_TO_CHOOSE_BY = 100
IMBALANCED = 3
"""Images of the largest class, relative to the smallest, beyond which a warning is given."""
DARK = 0.02
"""Mean of the brightest channel, from 0 to 1, below which images count as black."""


def described(images: ImageSource, progress: Progress, note: str) -> ImageSource:
    """Say what images in memory hold, and keep it with them.

    Args:
        images: in memory.
        progress: told the summary and each warning.
        note: is said after the summary.
    """
    parts = {"train": images.train.labels.tolist(), "val": images.val.labels.tolist()}
    summary = _counts(parts, images.info.class_names)
    summary += f", {images.info.resolution_px} px" + (f"; {note}" if note else "")
    progress("images", 1, 1, summary + _left_out(images))
    return warned(images, summary, progress)


def warned(
    images: ImageSource, summary: str, progress: Progress, more: tuple[str, ...] = ()
) -> ImageSource:
    """Say what speaks against the images, and keep that and the summary with them.

    Args:
        images: looked through for warnings.
        summary: what they hold, in one line; images that are left out are added to it.
        progress: told each warning.
        more: further warnings.
    """
    found = (*more, *warnings(images))
    for number, warning in enumerate(found, start=1):
        progress(f"note {number} on the images", 1, 1, warning)
    summary += _left_out(images)
    return replace(images, info=replace(images.info, summary=summary, warnings=found))


def _left_out(images: ImageSource) -> str:
    """How many images nothing is trained on or chosen by, since the same pictures judge."""
    info = images.info
    counts = {"training": info.training_left_out, "validation": info.validation_left_out}
    listed = " and ".join(f"{count:,} {part}" for part, count in counts.items() if count)
    also = "image that is" if sum(counts.values()) == 1 else "images that are"
    return f"; left out: {listed} {also} also in another part" if listed else ""


def folder_summary(layout: Layout, sizes: set[tuple[int, int]], sample: str = "") -> str:
    """Say parts, classes, images, smallest and largest class, sides, and what was passed over.

    Args:
        layout: the set's files.
        sizes: (width, height) of images.
        sample: words behind the sides that say of how many images they are, where not of all.
    """
    said = _counts({part: files.labels for part, files in layout.parts.items()}, layout.class_names)
    if sizes:
        sides = [side for size in sizes for side in size]
        least, most = min(sides), max(sides)
        said += f", sides {least} to {most} px" if least < most else f", sides {least} px"
        said += sample
    if layout.passed_over:
        listed = (
            f"{count} {SINGULAR.get(name, name) if count == 1 else name}"
            for name, count in sorted(layout.passed_over.items())
        )
        said += f"; passed over: {', '.join(listed)}"
    if layout.beside:
        said += f"; not used: {some_of(layout.beside, _NAMED)}"
    return said


def _counts(parts: Mapping[str, Sequence[int]], names: Sequence[str]) -> str:
    """Say how many images each part has, and how many the smallest and the largest class."""
    counts = Counter(label for labels in parts.values() for label in labels)
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    listed = ", ".join(f"{part} {len(labels):,}" for part, labels in parts.items())
    said = f"{sum(counts.values()):,} images ({listed}) of {len(names)} classes"
    if counts[least] == counts[most]:
        return f"{said}, {counts[least]:,} of each"
    return f"{said}, {counts[least]:,} ({names[least]}) to {counts[most]:,} ({names[most]})"


def warnings(images: ImageSource) -> tuple[str, ...]:
    """Say what speaks against trusting accuracies on these images."""
    return (*_repeated(images), *_uncovered(images), *_few(images), *_dark(images))


def _repeated(images: ImageSource) -> Iterator[str]:
    """Pictures of the same pixels, across parts and across classes."""
    parts = {"training": images.train, "validation": images.val}
    if images.test is not None:
        parts["test"] = images.test
    named = list(parts.items())
    for i, (one, a) in enumerate(named):
        for other, b in named[i + 1 :]:
            shared, left_out = int(b.shared_with([a]).sum()), int(a.shared_with([b]).sum())
            if shared:
                same = "is the same picture" if shared == 1 else "are the same pictures"
                yield (
                    f"{shared} of {len(b)} {other} images {same} as {one} images; "
                    f"{_are(left_out, f'{one} image')} left out for that reason"
                )
    contents = torch.cat([part.contents for part in parts.values()])
    labels = torch.cat([part.labels for part in parts.values()])
    pairs = torch.unique(torch.stack([contents, labels]), dim=1)
    seen, times = pairs[0].unique(return_counts=True)
    if mixed := int((times > 1).sum()):
        yield f"{_are(mixed, 'picture')} the same in more than one class"
    if twice := len(contents) - len(seen):
        copies = "a duplicate of another image" if twice == 1 else "duplicates of other images"
        yield (
            f"{_are(twice, 'image')} {copies}; where images are held out, the same "
            "pictures stay on one side"
        )


def _are(count: int, noun: str) -> str:
    """The beginning of a sentence, such as "1 image is" or "3 images are"."""
    return f"{number_of(count, noun)} {'is' if count == 1 else 'are'}"


def _uncovered(images: ImageSource) -> Iterator[str]:
    """Classes without an image in a part, and classes of very different sizes."""
    names = images.info.class_names
    train, val = images.apart()
    for part, what in ((train, "trained"), (val, "validated")):
        counts = part.labels.bincount(minlength=len(names))
        absent = [in_list(names[label]) for label in (counts == 0).nonzero().flatten().tolist()]
        if absent:
            yield f"classes that are not {what} on: {some_of(absent, _NAMED)}"
    counts = train.labels.bincount(minlength=len(names))
    if int(counts.max()) > IMBALANCED * max(1, int(counts.min())):
        yield (
            f"classes are imbalanced: {names[int(counts.argmin())]} has {int(counts.min())} "
            f"training images and {names[int(counts.argmax())]} {int(counts.max())}; read the "
            "balanced accuracy beside the accuracy, and consider --balanced"
        )


def _few(images: ImageSource) -> Iterator[str]:
    """Too few images to tell networks apart: the binomial standard error at an accuracy of 0.8."""
    count = images.info.judged_on
    if count < FEW_TO_CHOOSE_BY:
        error = 100 * (0.8 * 0.2 / max(1, count)) ** 0.5
        yield (
            f"a search compares networks on {number_of(count, 'image')} only, where an "
            f"accuracy of 80 % has a standard error of {error:.0f} points"
        )


def _dark(images: ImageSource) -> Iterator[str]:
    """Pixels that say little."""
    info = images.info
    if max(info.std) <= 1.01 / 255:
        yield f"all pixels have nearly one value ({info.mean[0]:.3f} on the scale 0 to 1)"
    elif max(info.mean) < DARK:
        yield f"the images are nearly black (mean {max(info.mean):.3f} on the scale 0 to 1)"
