"""Images of one size as they come, before they are split and resized."""

from dataclasses import dataclass

from torch import Tensor

from bneck.proxies.data.image_info import PHOTO_PX, SMALL_PX
from bneck.proxies.data.image_source import ImageSource, in_memory
from bneck.proxies.data.rows import fit_square


@dataclass(frozen=True)
class Raw:
    """Images in memory.

    Attributes:
        images: uint8 (N, 1 or 3, H, W).
        labels: int64 (N,), 0 to classes - 1.
        class_names: one for each label.
        val: the same for validation; None where a fifth is to be held out.
        flip: whether a mirrored image still shows its class.
        note: what was done to the pixels, if anything.
    """

    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    val: tuple[Tensor, Tensor] | None = None
    flip: bool = True
    note: str = ""

    def source(self, name: str, resolution_px: int | None, seed: int) -> ImageSource:
        """Return the images as squares, with a validation part.

        Args:
            name: what the set is called.
            resolution_px: side of the squares; None for their own shorter side, from 32 to 224 px.
            seed: decides which fifth validates where there is no ``val``.
        """
        side = resolution_px or min(max(SMALL_PX, min(self.images.shape[-2:])), PHOTO_PX)
        val = None if self.val is None else (_rgb(fit_square(self.val[0], side)), self.val[1])
        return in_memory(
            name,
            self.class_names,
            (_rgb(fit_square(self.images, side)), self.labels),
            val,
            seed=seed,
            flip=self.flip,
        )


def _rgb(images: Tensor) -> Tensor:
    """Grey images are shown as three equal channels, which share their memory."""
    return images.expand(-1, 3, -1, -1)
