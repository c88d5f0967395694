"""Images of one size as they come, before they are split and resized."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from bneck.proxies.data.image_info import PHOTO_PX, SMALL_PX
from bneck.proxies.data.image_source import ImageSource, in_memory
from bneck.proxies.data.pixels import fit_square


@dataclass(frozen=True)
class Raw:
    """Images in memory.

    Attributes:
        parts: by "train" and, unless a fifth is to be held out, "val": images, uint8
            (N, 1 or 3, H, W), and labels, int64 (N,), 0 to classes - 1.
        class_names: one for each label.
        flip: whether a mirrored image still shows its class.
        note: what was done to the pixels, if anything.
    """

    parts: Mapping[str, tuple[Tensor, Tensor]]
    class_names: tuple[str, ...]
    flip: bool = True
    note: str = ""

    def side_px(self, resolution_px: int | None) -> int:
        """The side of the squares: what is asked, else the shorter side, from 32 to 224 px."""
        height, width = self.parts["train"][0].shape[-2:]
        return resolution_px or min(max(SMALL_PX, min(height, width)), PHOTO_PX)

    def source(self, name: str, side_px: int, seed: int) -> ImageSource:
        """Return the images as squares in memory, with a validation part.

        Args:
            name: what the set is called.
            side_px: side of the squares.
            seed: decides which fifth validates where there is no "val".
        """
        parts = [
            (rgb(fit_square(images, side_px)), labels) for images, labels in self.parts.values()
        ]
        return in_memory(name, self.class_names, *parts, seed=seed, flip=self.flip)


def rgb(images: Tensor) -> Tensor:
    """Grey images are shown as three equal channels, which share their memory."""
    return images.expand(-1, 3, -1, -1)
