"""What a file of squares holds, apart from its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

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

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Read what ``write_json`` made of ``asdict``."""
        values = dict(kept)
        values["class_names"] = tuple(values["class_names"])
        values["bad"] = {int(row): why for row, why in values["bad"].items()}
        return cls(**values)
