"""What a file of squares holds, apart from its rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bneck import records
from bneck.errors import UsageError
from bneck.files import read_json
from bneck.proxies.data.image_info import PARTS

VERSION = 2


@dataclass(frozen=True, slots=True)
class Index:
    """What is known of a set of squares, apart from its rows.

    Attributes:
        folder: what was decoded; of arrays, as a plan names them: ``npz:FILE`` or ``cifar10``.
        class_names: one for each label.
        parts: number of images by part; they lie in the order train, val, test.
        bad: number of an image and why it cannot be used.
        white: what white is in deep pixels, as ``decoding.find_white`` says.
        flip: whether a mirrored image still shows its class.
        note: what was done to the pixels of arrays, if anything.
    """

    version: int
    folder: str
    side_px: int
    class_names: tuple[str, ...]
    parts: Mapping[str, int]
    bad: Mapping[int, str]
    white: Mapping[str, int]
    flip: bool = True
    note: str = ""

    @property
    def count(self) -> int:
        """Number of squares."""
        return sum(self.parts.values())

    @property
    def size_bytes(self) -> int:
        """Size of the file of squares, in bytes."""
        return self.count * 3 * self.side_px**2


def read_index(path: Path) -> Index:
    """Read what ``write_json`` made of ``asdict``.

    Raises:
        UsageError: there is none, or it makes no sense.
    """
    kept = read_json(path)
    bad = kept.get("bad") if isinstance(kept, dict) else None
    if not isinstance(bad, dict) or not all(row.isdecimal() for row in bad):
        raise UsageError(f"{path} is not an index of squares")
    index = records.from_json(Index, kept | {"bad": {}})
    found = replace(index, bad={int(row): str(why) for row, why in bad.items()})
    known = found.side_px > 0 and min(found.parts.values(), default=-1) >= 0
    if not known or set(found.parts) - {*PARTS} or max(found.bad, default=-1) >= found.count:
        raise UsageError(f"{path} makes no sense")
    return found
