"""Small pictures for tests, each of other pixels."""

from pathlib import Path

import numpy as np
from PIL import Image

from bneck.proxies.data.loading import load


def draw(folder: Path, *names: str, count: int = 5, side: int = 32, seed: int = 0) -> None:
    """Write ``count`` pictures of noise into each of the folders ``names`` below ``folder``."""
    random = np.random.default_rng(seed)
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = random.integers(0, 256, (side, side, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def noise(*shape: int) -> np.ndarray:
    """The same noise each time."""
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def notes(folder: Path, seed: int = 0) -> tuple[str, ...]:
    """What is said of a folder of pictures, read at 32 px."""
    return load(f"folder:{folder}", resolution_px=32, seed=seed).info.warnings
