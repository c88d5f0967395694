"""The price list of labels: networks of similar cost trained from scratch, looked at on the way.

Random networks of V3-Small's space whose multiply-adds (at 224 px, 1000 classes) lie in a band are
trained for ten epochs on 20,000 images. Each becomes one JSON line of a table that
``bneck proxies score --table`` reads: ``accuracy`` is the end of the training by the averaged
weights, on the images' final validation part, which no signal sees; ``accuracy@156 raw`` and
``accuracy@156 ema`` are what the same training came to after 156 steps, on 5,000 images held out of
the training part. With ``--alone`` the same networks are trained again, for fewer steps with a
schedule of their own: ``accuracy@156 alone``; with ``--px`` at other input sides too:
``accuracy@156 alone 16px``. Seconds are of one core's CPU time, training only. The same command on
the same file goes on where it was stopped, and loses at most the training that ran; a network whose
training diverges is named and left out. ``benchmarks/price_list.py`` reads the file.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from random import Random

import torch

from bneck.errors import ProxyFailed
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.proxies.training.recipe import Recipe, epochs
from bneck.proxies.training.step import WeightAverage
from bneck.proxies.training.trainer import evaluate, train
from bneck.space import codec, spaces
from bneck.space.architecture import Architecture
from bneck.space.backends.torch_model import build
from bneck.space.cost import cost

BAND = (50e6, 62e6)
TRAIN, VAL_ON_THE_WAY = 20_000, 5_000
LOOKS = (156, 312, 468, 780, 1092)
EMA = 0.98


def networks(count: int, side_px: int, classes: int) -> Iterator[Architecture]:
    """Random networks of the band, always the same ones in the same order."""
    wide = spaces.build("v3-small")
    draw = Random(0)
    while count:
        arch = wide.decode(wide.sample(draw.getrandbits(32)))
        if BAND[0] <= cost(arch).macs <= BAND[1]:
            count -= 1
            yield arch.at(resolution_px=side_px, classes=classes)


def truth(arch: Architecture, whole: ImageSource, steps: int) -> dict[str, float]:
    """Accuracy at the end, and on the way."""
    few = searched(whole).subset(seed=0, val=VAL_ON_THE_WAY)
    network = build(arch, seed=0)
    average, averaged = WeightAverage(network, EMA), build(arch, seed=0)
    averaged.to(memory_format=torch.channels_last)
    row: dict[str, float] = {}
    spent, since = 0.0, time.process_time()

    def look(what: str, step: int, *rest: object) -> None:
        nonlocal spent, since
        average.prepare(step)
        average.update()
        spent += time.process_time() - since
        if step in LOOKS or step == steps:
            average.copy_to(averaged)
            if step == steps:
                row["accuracy"] = evaluate(averaged, whole).accuracy.value
            else:
                row[f"accuracy@{step} raw"] = evaluate(network, few).accuracy.value
                row[f"accuracy@{step} ema"] = evaluate(averaged, few).accuracy.value
            row[f"seconds@{step}"] = round(spent, 2)
        since = time.process_time()

    train(network, few.subset(seed=0, val=100), Recipe(steps, ema=None), seed=0, progress=look)
    return row


def alone(arch: Architecture, few: ImageSource, steps: int, name: str) -> dict[str, float]:
    """What a training of so many steps with its own schedule comes to."""
    network = build(arch, seed=0)
    end = [time.process_time()]

    def note(*news: object) -> None:
        end.append(time.process_time())

    train(network, few.subset(seed=0, val=100), Recipe(steps), seed=0, progress=note)
    accuracy = evaluate(network, few).accuracy.value
    return {f"accuracy@{name}": accuracy, f"seconds@{name}": round(end[-1] - end[0], 2)}


def searched(whole: ImageSource) -> ImageSource:
    """The images that a search would compare networks on."""
    return whole.for_search(0).subset(seed=0, train=TRAIN)


@dataclass(frozen=True)
class Labels:
    """The table's file and the images it is about."""

    path: Path
    whole: ImageSource

    def add(self, count: int, epoch_count: float, shorter: list[int], sides: list[int]) -> None:
        """Append what is missing: the truth of all networks, then the trainings alone."""
        own_px = self.whole.info.resolution_px
        archs = list(networks(count, own_px, self.whole.info.classes))
        steps = epochs(searched(self.whole).info, epoch_count)
        for arch in archs:
            if "accuracy" not in self._known(arch):
                self._append(arch, partial(truth, arch, self.whole, steps))
        few = searched(self.whole).subset(seed=0, val=VAL_ON_THE_WAY)
        for short, px in product(shorter, sides or [own_px]):
            name = f"{short} alone" if px == own_px else f"{short} alone {px}px"
            images = few if px == own_px else few.resized(px)
            for arch in archs:
                known = self._known(arch)
                if "accuracy" in known and f"accuracy@{name}" not in known:
                    small = arch.at(resolution_px=px)
                    self._append(arch, partial(alone, small, images, short, name))

    def _known(self, arch: Architecture) -> dict[str, float]:
        """All that the file says of a network."""
        rows = (json.loads(line) for line in _lines(self.path))
        same = (row for row in rows if codec.from_json(row["arch"]) == arch)
        return {name: value for row in same for name, value in row.items()}

    def _append(self, arch: Architecture, find: Callable[[], dict[str, float]]) -> None:
        try:
            found = {"macs": cost(arch).macs, **self._known(arch), **find()}
        except ProxyFailed as error:
            print(f"left out: {error}", file=sys.stderr, flush=True)
            return
        with self.path.open("a") as file:
            file.write(json.dumps({**found, "arch": codec.to_json(arch)}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(json.dumps({name: v for name, v in found.items() if name != "arch"}), flush=True)


def main() -> None:
    """Append what is missing in the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="folder:DIR, npz:FILE or cifar10")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", type=int, default=24)
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--alone", type=int, nargs="*", default=[], metavar="STEPS")
    parser.add_argument("--px", type=int, nargs="*", default=[], help="sides to train alone at")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    labels = Labels(arguments.out, load(arguments.images))
    labels.add(arguments.networks, arguments.epochs, arguments.alone, arguments.px)


def _lines(path: Path) -> list[str]:
    """The whole lines of the file; one that was cut off is dropped from it."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return whole.splitlines()


if __name__ == "__main__":
    main()
