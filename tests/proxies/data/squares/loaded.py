"""Images of a folder, as squares of 16 px."""

from pathlib import Path

from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load


def loaded(place: Path, **more: object) -> ImageSource:
    return load(f"folder:{place}", resolution_px=16, **more)  # type: ignore[arg-type]
