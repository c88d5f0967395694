"""Image folders: one folder for each class, any sizes and modes, decoded once."""

from collections.abc import Callable
from pathlib import Path

from bneck.errors import UnreadableImages
from bneck.progress import Progress
from bneck.proxies.data.decoding import kind_and_size
from bneck.proxies.data.image_info import PHOTO_PX, SMALL_PX, ImageInfo
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.layout import Layout, read_layout, with_digests
from bneck.proxies.data.squares.from_folder import prepare
from bneck.proxies.data.squares.set_files import Squares
from bneck.proxies.data.squares.source import source_of
from bneck.proxies.data.squares.store import keep_pointer
from bneck.proxies.data.summary import folder_summary, warned
from bneck.text import number_of, some_of
from bneck.units import as_percent

_SAMPLE = 1000
_NAMED = 3
UNREADABLE_SHARE = 0.01
"""More files than this share are not passed over: something else is wrong with them."""


def load_folder(
    folder: Path,
    resolution_px: int | None,
    seed: int,
    progress: Progress,
    *,
    skip_unreadable: bool = False,
    by_content: bool = False,
    accept: Callable[[ImageInfo], object] | None = None,
) -> ImageSource:
    """Load ``folder/train`` with ``val`` and ``test`` if there are any, or a folder of classes.

    Images are turned upright by their EXIF orientation, brought to RGB (more than 8 bits scaled by
    what the set holds, transparency laid on white), cropped to the centred square and resized;
    this is done once, into a file of squares (``squares``).

    Args:
        folder: the set's folder; ``layout`` says which names are parts.
        resolution_px: side of the squares; None for 224, or the images' own where that is smaller.
        seed: decides which fifth validates where there is no such part.
        progress: told what the set holds, and how far decoding is.
        skip_unreadable: pass over up to 1 % of files that are not whole images.
        by_content: read all files to tell whether they are those that were decoded before, instead
            of trusting their sizes and times.
        accept: called before any image is decoded, with what the layout tells (``Layout.facts``):
            it raises where these images will not do.

    Raises:
        UsageError: a missing or empty folder, fewer than two classes, classes that differ between
            the parts, a file that may not be read.
        UnreadableImages: files that are not whole images (the message names up to three).
        BneckError: no room for the squares.
    """
    layout = read_layout(folder)
    sizes, deep, sample = _look_at(layout)
    side_px = resolution_px or _default_resolution(sizes)
    if accept is not None:
        accept(layout.facts(side_px))
    if by_content:
        layout = with_digests(layout, progress)
    summary = folder_summary(layout, sizes, sample)
    progress("images", 1, 1, summary)
    squares = prepare(layout, side_px, progress, deep=deep)
    if skipped := _check_readable(squares, skip=skip_unreadable):
        progress("unreadable images", 1, 1, skipped)
        summary += f"; {skipped}"  # names of files are no warning, which a model card would repeat
    enlarged = _enlarged(sizes, side_px, sample) if resolution_px is None else ()
    source = warned(source_of(squares, f"folder:{folder}", seed), summary, progress, enlarged)
    keep_pointer(source.info.fingerprint, squares.place)
    return source


def _look_at(layout: Layout) -> tuple[set[tuple[int, int]], bool, str]:
    """Sizes of a sample of the images, whether any of them has more than 8 bits, and its words."""
    paths = layout.files()
    heads = [kind_and_size(path) for path in paths[:: len(paths) // _SAMPLE + 1]]
    known = [head for head in heads if head is not None]
    sample = f" in a sample of {len(heads)}" if len(heads) < len(paths) else ""
    return {size for _, size in known}, any(kind is not None for kind, _ in known), sample


def _default_resolution(sizes: set[tuple[int, int]]) -> int:
    """224, or the short side that all images share where that is smaller, but at least 32."""
    if len(sizes) != 1:
        return PHOTO_PX
    return max(SMALL_PX, min(PHOTO_PX, *next(iter(sizes))))


def _enlarged(sizes: set[tuple[int, int]], side_px: int, sample: str) -> tuple[str, ...]:
    """What is to be said of images of several sizes that are all smaller than the squares."""
    largest_px = max((min(size) for size in sizes), default=side_px)
    if largest_px >= side_px or len(sizes) == 1:
        return ()
    return (
        f"all images{sample} are enlarged to {side_px} px, as those of several sizes are without "
        f"--resolution: their shorter sides are up to {largest_px} px; fewer pixels train faster",
    )


def _check_readable(squares: Squares, *, skip: bool) -> str:
    """Say which files are passed over, if any; refuse them unless they are few and to be so."""
    bad, index = squares.index.bad, squares.index
    if not bad:
        return ""
    names = squares.names()
    files = [f"{names[row]} ({why})" for row, why in bad.items()]
    listed = some_of(files, _NAMED)
    if skip and len(bad) <= UNREADABLE_SHARE * index.count:
        return f"{number_of(len(bad), 'unreadable file')} passed over: {listed}"
    if len(files) > _NAMED:
        listed += f" (`bneck images DIR --resolution {index.side_px}` lists all)"
    share = as_percent(UNREADABLE_SHARE)
    hint = (
        f"more than {share} of {index.count} files are not passed over"
        if skip
        else f"repair them or take them away; a run by --skip-unreadable passes over up to {share}"
    )
    raise UnreadableImages(f"not readable as images in {index.folder}: {listed}; {hint}", files)
