"""How fast a folder of photos is listed, summed up and decoded into a file of squares.

Synthetic JPEGs of 224 to 256 px are decoded by bneck (into squares of ``--side``, with a digest of
each) and, for comparison, by Pillow alone in as many processes: to squares of the same side, and
without any cropping and resizing. All are timed in turns, with the start of their processes.
"""

import argparse
import os
import statistics
import tempfile
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from bneck.machine import cores
from bneck.progress import silent
from bneck.proxies.data.folder import load_folder
from bneck.proxies.data.layout import read_layout
from bneck.proxies.data.rows import digest_rows
from bneck.proxies.data.squares.from_folder import prepare
from bneck.proxies.data.squares.store import remove, squares_of
from bneck.proxies.data.summary import folder_summary


def draw(folder: Path, count: int) -> None:
    """Write photos of smooth noise, 8 to 20 kB each, in ten classes."""
    random = np.random.default_rng(0)
    for number in range(count):
        side, other = (int(side) for side in random.integers(224, 257, 2))
        coarse = random.integers(0, 256, (12, 12, 3), np.uint8)
        photo = Image.fromarray(coarse).resize((side, other), Image.Resampling.BICUBIC)
        grain = random.normal(0, 6, (other, side, 1))
        pixels = (np.asarray(photo) + grain).clip(0, 255).astype(np.uint8)
        file = folder / f"class{number % 10}" / f"{number:06}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file, quality=85)


def decode(file: str, side: int | None) -> int:
    """Decode a file by Pillow alone, and bring it to a square unless the side is None."""
    with Image.open(file) as image:
        image = image.convert("RGB")
        if side is not None:
            image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
        return np.asarray(image).size


def pillow(files: list[str], side: int | None) -> float:
    """Seconds in which Pillow decodes files on all cores."""
    began = time.perf_counter()
    with get_context("fork").Pool(cores()) as pool:
        sum(pool.imap_unordered(partial(decode, side=side), files, chunksize=64))
    return time.perf_counter() - began


def main() -> None:
    """Print images in a second, and bneck's as a share of Pillow's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["BNECK_CACHE"] = f"{place}/cache"
        folder, count = Path(place, "photos"), arguments.images
        draw(folder, count)
        files = [str(file) for file in folder.rglob("*.jpg")]
        shares: dict[int | None, list[float]] = {arguments.side: [], None: []}
        for _ in range(arguments.rounds):
            began = time.perf_counter()
            layout = read_layout(folder)
            said = folder_summary(layout, set())
            print(f"listed and summed up in {time.perf_counter() - began:.2f} s: {said}")
            began = time.perf_counter()
            prepare(layout, arguments.side, {}, silent)
            ours = time.perf_counter() - began
            print(f"bneck {count / ours:,.0f} images/s")
            for side, found in shares.items():
                theirs = pillow(files, side)
                found.append(theirs / ours)
                what = "alone" if side is None else f"and cropping and resizing to {side} px"
                rate = f"{count / theirs:,.0f} images/s: bneck has {theirs / ours:.0%} of it"
                print(f"Pillow, decoding {what}: {rate}")
            for one in squares_of(folder):
                remove(one.place)
        middle = [f"{statistics.median(found):.0%}" for found in shares.values()]
        print(f"bneck has {middle[0]} of Pillow's rate, {middle[1]} of that of decoding alone")
        squares = load_folder(folder, arguments.side, 0, silent).train.squares.contiguous()
        began = time.perf_counter()
        digest_rows(squares)
        took = time.perf_counter() - began
        print(f"digests of {count} squares of {arguments.side} px: {took:.2f} s on one core")


if __name__ == "__main__":
    main()
