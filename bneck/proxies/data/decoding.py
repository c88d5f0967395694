"""One picture file as a square of 8-bit RGB. Needs Pillow and NumPy only."""

import errno
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from bneck.errors import UsageError
from bneck.progress import Progress, silent
from bneck.proxies.data.white import scaled, white_of

MAX_PIXELS = 500_000_000
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_TOLD_EVERY = 100
_WITHHELD = {errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE}
"""Errors of the system on files that may be whole."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what turns the picture upright."""

White = Mapping[str, int]
"""Kind of pixel ("16-bit", "32-bit", "float") -> the value that means white."""
Square = NDArray[np.uint8]


_IN_WORDS = dict.fromkeys(
    ("could not create decoder object", "failed to read next frame"),
    "the WebP image is truncated or damaged",
)
"""What Pillow says of files that its own words do not explain."""


class NotAnImage(Exception):
    """Why a file cannot be used, in words that follow its name."""


class NoWhite(NotAnImage):
    """It has pixels of more than 8 bits, and what white is in these was not found before."""


def square(file: str | Path, side_px: int, white: White | None = None) -> Square:
    """Decode a file to uint8 (side, side, 3): upright RGB, the centred square, resized.

    Transparency is laid on white. To be called within ``any_size``.

    Args:
        file: the picture.
        side_px: side of the square.
        white: what pixels of more than 8 bits are scaled by; without it, they are scaled by what
            this file alone holds.

    Raises:
        NotAnImage: it cannot be decoded whole, or its pixels cannot be scaled.
        NoWhite: ``white`` lacks the kind of its pixels.
        UsageError: the system does not let it be read, which another time may be otherwise.
    """
    try:
        with Image.open(file) as image:
            return _square(image, side_px, white)
    except NotAnImage:
        raise
    except Exception as error:  # decoders fail in many ways on a broken file
        if isinstance(error, OSError) and error.errno in _WITHHELD:
            raise UsageError(f"cannot read {file}: {error.strerror}") from None
        raise NotAnImage(_reason(file, error)) from None


def read_picture(file: Path, side_px: int) -> Square:
    """Decode a file as ``square`` does, for use outside of a set of images.

    Raises:
        UsageError: it cannot be read, or is not a whole image.
    """
    try:
        with any_size():
            return square(file, side_px)
    except NotAnImage as error:
        raise UsageError(f"cannot read {file}: {error}") from None


def kind_and_size(file: Path) -> tuple[str | None, tuple[int, int]] | None:
    """Read a file's header: the kind of deep pixels or None, and the size; None if unreadable."""
    with suppress(Exception), any_size(), Image.open(file) as image:
        return _kind(image), image.size
    return None


def find_white(files: Sequence[Path], progress: Progress = silent) -> dict[str, int]:
    """Find what white is in each kind of deep pixels that the files hold; all of these are decoded.

    The smallest of the usual ranges (8, 10, 12, 14, 16 bits and so on) that holds them all.

    Args:
        files: any pictures.
        progress: told now and then how many were looked at.

    Raises:
        UsageError: negative values, values that are not numbers, or beyond every range.
    """
    largest: dict[str, float] = {}
    for number, file in enumerate(files, start=1):
        try:
            with any_size(), Image.open(file) as image:
                if (kind := _kind(image)) is not None and not _is_bomb(image):
                    largest[kind] = max(largest.get(kind, 0.0), _largest(_values(image)))
                    _white(kind, largest[kind])
        except NotAnImage as error:
            raise UsageError(f"{file}: {error}") from None
        except Exception:  # decoding names the bad files, all of them at once
            pass
        if number % _TOLD_EVERY == 0 or number == len(files):
            progress("finding white", number, len(files))
    return {kind: _white(kind, value) for kind, value in largest.items()}


def _square(image: Image.Image, side_px: int, white: White | None) -> Square:
    if _is_bomb(image):
        width, height = image.size
        raise NotAnImage(
            f"{width} x {height} pixels, a decompression bomb: at most {MAX_PIXELS:,} are read"
        )
    if image.format == "EPS":  # Pillow would have Ghostscript run it
        raise NotAnImage("PostScript, which is a program and not run")
    image.draft(None, (side_px, side_px))  # JPEG: decode at a fraction of the size
    image.load()
    turn, kind = _turn(image), _kind(image)
    if kind is not None:
        values = _values(image)
        if white is None:
            white = {kind: _white(kind, _largest(values))}
        if kind not in white:
            raise NoWhite(f"it has {kind} pixels, as it had not when white was looked for")
        image = Image.fromarray(scaled(values, white[kind]))
    if turn is not None:
        image = image.transpose(turn)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode != "RGB":  # which would be a copy
        image = image.convert("RGB")
    if image.size != (side_px, side_px):
        image = ImageOps.fit(image, (side_px, side_px), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """The turn that brings a picture upright; None where its EXIF tells none, or cannot be read.

    Pillow's own ``exif_transpose`` also writes the other tags again, and fails where one of them
    has a value that no such tag should have.
    """
    with suppress(Exception):
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return None


def _is_bomb(image: Image.Image) -> bool:
    return image.width * image.height > MAX_PIXELS


def _kind(image: Image.Image) -> str | None:
    if image.mode not in DEEP_MODES:
        return None
    return {"F": "float", "I": "32-bit"}.get(image.mode, "16-bit")


def _values(image: Image.Image) -> NDArray[np.generic]:
    values = np.asarray(image)
    if image.mode == "I" and image.format == "TIFF":
        sample_format = getattr(image, "tag_v2", {}).get(339, 1)  # 1 is unsigned, also by default
        if sample_format in (1, (1,)):
            return values.view(np.uint32)
    return values


def _largest(values: NDArray[np.generic]) -> float:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise NotAnImage("it has pixels that are not finite numbers")
    if low < 0:
        raise NotAnImage(f"it has negative pixels ({low:g}); they must begin at 0")
    return high


def _white(kind: str, largest: float) -> int:
    white = white_of(largest, floats=kind == "float")
    if white is None:
        raise NotAnImage(f"it has {kind} pixels up to {largest:g}; at most 65535 is understood")
    return white


@contextmanager
def any_size() -> Iterator[None]:
    """Read pictures without Pillow's own limit of 89 million pixels and its warnings of odd files.

    Not for several threads: both are settings of the whole process.
    """
    _learn_heic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module="PIL")
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _reason(file: str | Path, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "HEIC, which needs bneck[heic]" if _is_heic(file) else "not an image"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _IN_WORDS.get(said, said)


def _is_heic(file: str | Path) -> bool:
    with suppress(OSError), open(file, "rb") as opened:
        head = opened.read(12)
        return head[4:8] == b"ftyp" and head[8:12] in {b"heic", b"heix", b"hevc", b"mif1", b"msf1"}
    return False


@cache
def _learn_heic() -> None:
    """Have Pillow read HEIC where the extra bneck[heic] is installed."""
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
