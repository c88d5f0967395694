"""How fast a folder of photos is prepared, and what training on a large set takes of memory.

``decode``: synthetic JPEGs of 224 to 256 px are decoded by bneck into a file of squares (with a
digest of each) and, for comparison, by Pillow alone in as many processes: to squares of the same
side, and without any cropping and resizing. Pillow decodes one half of the files before bneck and
the other after it, so that a machine that drifts slows both; all are timed with the start of their
processes. Beyond ``--distinct`` the photos are hard links, so all but the first reading is from
memory for both.

``memory``: a file of squares of ``--gigabytes`` is written without decoding anything, and workers
train on it at random places. Of each, own memory is what it wrote to (a single worker also counts
the pages that it alone maps as its own, as no other shares them yet), first step the time since its
process began.

Both write into ``bneck-images`` below ``--place``, find there what an interrupted run has drawn,
and remove it at the end.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from bneck.cli import exit_code_of, new_folder, positive, whole_number
from bneck.derivation.execution import IMPORTED
from bneck.executors import Failed
from bneck.executors.processes import processes
from bneck.machine import ONE_THREAD, cores
from bneck.progress import silent
from bneck.proxies.data.folder import load_folder
from bneck.proxies.data.layout import read_layout
from bneck.proxies.data.squares import store
from bneck.proxies.data.squares.from_folder import prepare
from bneck.proxies.data.squares.index import VERSION, Index
from bneck.proxies.data.squares.set_files import PIXELS, Rows, Squares
from bneck.proxies.data.squares.source import source_of
from bneck.proxies.data.worker_images import WorkerImages, whole
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.space import presets
from bneck.space.backends.torch_model import build
from bneck.units import as_percent

CLASSES = tuple(f"class{number}" for number in range(10))


def draw(folder: Path, count: int, distinct: int) -> None:
    """Write photos of smooth noise, 8 to 20 kB each, in ten classes; those that are there stay."""
    for number in range(count):
        file = folder / CLASSES[number % 10] / f"{number:06}.jpg"
        if file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        if number >= distinct:
            like = number % distinct
            file.hardlink_to(folder / CLASSES[like % 10] / f"{like:06}.jpg")
            continue
        random = np.random.default_rng(number)
        side, other = (int(side) for side in random.integers(224, 257, 2))
        coarse = random.integers(0, 256, (12, 12, 3), np.uint8)
        photo = Image.fromarray(coarse).resize((side, other), Image.Resampling.BICUBIC)
        grain = random.normal(0, 6, (other, side, 1))
        pixels = (np.asarray(photo) + grain).clip(0, 255).astype(np.uint8)
        whole_file = file.with_suffix(".part")
        Image.fromarray(pixels).save(whole_file, "JPEG", quality=85)
        whole_file.rename(file)


def decode(file: str, side: int | None) -> int:
    """Decode a file by Pillow alone, and bring it to a square unless the side is None."""
    with Image.open(file) as opened:
        image = opened.convert("RGB")
        if side is not None:
            image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
        return np.asarray(image).size


def pillow(files: list[str], side: int | None) -> None:
    """Decode files by Pillow on all cores."""
    with get_context("fork").Pool(cores()) as pool:
        sum(pool.imap_unordered(partial(decode, side=side), files, chunksize=64))


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def compare_decoding(folder: Path, side: int, rounds: int) -> None:
    """Print images in a second, and bneck's as a share of Pillow's."""
    files = [str(file) for file in folder.rglob("*.jpg")]
    count, half = len(files), len(files) // 2
    sides = {side: f"decoding, cropping and resizing to {side} px", None: "only decoding"}
    shares: dict[int | None, list[float]] = {side: [], None: []}
    for _ in range(rounds):
        theirs = {one: seconds(partial(pillow, files[:half], one)) for one in sides}
        layout = read_layout(folder)
        ours = seconds(partial(prepare, layout, side, silent))
        for one, what in sides.items():
            took = theirs[one] + seconds(partial(pillow, files[half:], one))
            shares[one].append(took / ours)
            print(f"Pillow, {what}: {count / took:,.0f} images/s", flush=True)
        rest = seconds(partial(load_folder, folder, side, 0, silent))
        print(
            f"bneck: {count / ours:,.0f} images/s; with listing, statistics and what is checked "
            f"{count / (ours + rest):,.0f}",
            flush=True,
        )
        for squares in store.squares_of(folder):
            store.remove(squares.place)
    found = [
        f"{as_percent(statistics.median(shares[one]))} of that of Pillow {what}"
        for one, what in sides.items()
    ]
    print(f"{count} photos, cores: {cores()}; bneck's rate is {' and '.join(found)}")


def write_squares(side: int, gigabytes: float) -> tuple[Squares, str]:
    """Write a file of noise that is repeated, and say its fingerprint."""
    count = int(gigabytes * 2**30) // (3 * side**2)
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (1024, side, side, 3), np.uint8)
    val = min(512, count // 10)
    parts = {"train": count - val, "val": val}
    index = Index(VERSION, "synthetic", side, CLASSES, parts, {}, {})

    def fill(place: Path) -> Rows:
        with (place / PIXELS).open("wb") as file:
            for start in range(0, count, len(noise)):
                file.write(noise[: count - start].data)
        digests = random.integers(0, 256, (count, 16), np.uint8)
        return Rows(index, (np.arange(count) % 10).tolist(), digests)

    squares = store.made_once(f"synthetic-{count}-{side}", index, fill)
    info = source_of(squares, "folder:synthetic", 0).info
    store.keep_pointer(info.fingerprint, squares.place)
    return squares, info.fingerprint


@dataclass(frozen=True)
class Worked:
    """What a worker's training took."""

    first_step_s: float
    own_mb: float
    with_mapped_mb: float


@dataclass(frozen=True)
class TrainSomeSteps:
    """What a worker does: MobileNetV3-Small, some steps at random places of the set."""

    images: WorkerImages
    steps: int
    batch: int

    def load(self) -> None:
        """Map the images, as the search's tasks do."""
        whole(self.images)

    def __call__(self, seed: int) -> Worked:
        """Train from a seed."""
        images = whole(self.images)
        found: list[float] = []

        def progress(what: str, done: int, total: int, note: str = "") -> None:
            if done == 1:
                found.append(_age_s())
            if done == total:
                found.extend(_memory_mb())

        network = build(
            presets.build(
                "mobilenet_v3_small",
                resolution_px=images.info.resolution_px,
                classes=images.info.classes,
            )
        )
        recipe = Recipe(steps=self.steps, batch_size=self.batch)
        train(network, images, recipe, seed=seed, progress=progress, compute=ONE_THREAD)
        return Worked(*found)


def _age_s() -> float:
    """Seconds since this process began."""
    began = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")


def _memory_mb() -> tuple[float, float]:
    """This process's own memory: what it wrote to, and all, with pages that it shares by parts."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kb = {name: int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}
    return kb["Private_Dirty"] / 1024, kb["Pss"] / 1024


def measure_memory(side: int, gigabytes: float, workers: int, steps: int, batch: int) -> None:
    """Print first steps and memory of one worker, of a second one, and of several together."""
    began = time.perf_counter()
    squares, fingerprint = write_squares(side, gigabytes)
    print(
        f"{squares.index.count} squares of {side} px, {squares.index.size_bytes / 2**30:.1f} GB, "
        f"written and looked through in {time.perf_counter() - began:.0f} s",
        flush=True,
    )
    images = WorkerImages("folder:synthetic", side, side, seed=0, fingerprint=fingerprint)
    own: dict[str, float] = {}
    for what, count in (("first", 1), ("second", 1), (f"{workers} together", workers)):
        executor = processes(count, imported=IMPORTED)
        try:
            task = TrainSomeSteps(images, steps, batch)
            for _, worked in executor.map_unordered(task, range(count)):
                if isinstance(worked, Failed):
                    raise SystemExit(worked.reason)
                own[what] = own.get(what, 0.0) + worked.own_mb
                print(
                    f"{what}: first step {worked.first_step_s:.1f} s after its process began, own "
                    f"memory {worked.own_mb:.0f} MB, with its share of mapped pages "
                    f"{worked.with_mapped_mb:.0f} MB",
                    flush=True,
                )
        finally:
            executor.close()
    more = own[f"{workers} together"] - own["first"]
    print(f"{workers} workers take {more:.0f} MB of own memory more than one")


def main() -> None:
    """Measure one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("decode", "memory"))
    parser.add_argument("--side", type=whole_number, default=128)
    parser.add_argument("--place", type=new_folder, default=tempfile.gettempdir())
    parser.add_argument("--images", type=whole_number, default=5000)
    parser.add_argument("--distinct", type=whole_number, default=2000)
    parser.add_argument("--rounds", type=whole_number, default=3)
    parser.add_argument("--gigabytes", type=positive, default=12.0)
    parser.add_argument("--workers", type=whole_number, default=4)
    parser.add_argument("--steps", type=whole_number, default=10)
    parser.add_argument("--batch", type=whole_number, default=64)
    arguments = parser.parse_args()
    place = arguments.place / "bneck-images"  # which is removed in the end; PLACE is the user's
    os.environ["BNECK_CACHE"] = str(place / "cache")
    shutil.rmtree(place / "cache", ignore_errors=True)
    if arguments.what == "decode":
        folder = place / f"photos-{arguments.images}-{arguments.distinct}"
        draw(folder, arguments.images, arguments.distinct)
        compare_decoding(folder, arguments.side, arguments.rounds)
    else:
        measure_memory(
            arguments.side, arguments.gigabytes, arguments.workers, arguments.steps, arguments.batch
        )
    shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
