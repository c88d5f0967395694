"""The price list of labels: networks of similar cost trained from scratch, looked at on the way.

Random networks of V3-Small's space whose multiply-adds (at 224 px, 1000 classes) lie in a band are
trained for ten epochs on 20,000 images. Each becomes one JSON line of a table that
``bneck proxies score --table`` reads: ``accuracy`` is the end of the training on all validation
images, by the averaged weights; ``accuracy@156 raw`` and ``accuracy@156 ema`` are what the same
training came to after 156 steps, on 5,000 of them. With ``--alone`` the same networks are trained
again, for fewer steps with a schedule of their own: ``accuracy@156 alone``. Seconds are of one
core's CPU time, training only. The same command on the same file goes on where it was stopped.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import torch

from bneck.proxies.average import WeightAverage
from bneck.proxies.data import ImageSet, load
from bneck.proxies.recipe import Recipe, epochs
from bneck.proxies.training import evaluate, train
from bneck.space import codec, spaces
from bneck.space.architecture import Architecture
from bneck.space.cost import cost
from bneck.space.torch_model import build

BAND = (50e6, 62e6)
TRAIN, VAL_ON_THE_WAY = 20_000, 5_000
LOOKS = (78, 156, 234, 312, 468, 780, 1092)
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


def truth(arch: Architecture, images: ImageSet, steps: int) -> dict[str, float]:
    """Accuracy at the end, and on the way."""
    few = images.subset(seed=0, val=VAL_ON_THE_WAY)
    network = build(arch, seed=0)
    average, averaged = WeightAverage(network, EMA), build(arch, seed=0)
    averaged.to(memory_format=torch.channels_last)
    row: dict[str, float] = {}
    spent, since = 0.0, time.process_time()

    def look(what: str, step: int, *rest: object) -> None:
        nonlocal spent, since
        average.update(step)
        spent += time.process_time() - since
        if step in LOOKS or step == steps:
            average.copy_to(averaged)
            if step == steps:
                row["accuracy"], *_ = evaluate(averaged, images)
            else:
                row[f"accuracy@{step} raw"], *_ = evaluate(network, few)
                row[f"accuracy@{step} ema"], *_ = evaluate(averaged, few)
            row[f"seconds@{step}"] = round(spent, 2)
        since = time.process_time()

    recipe = Recipe(steps, ema=None)
    train(network, images.subset(seed=0, val=100), recipe, seed=0, progress=look, threads=1)
    return row


def alone(arch: Architecture, images: ImageSet, steps: int) -> dict[str, float]:
    """What a training of so many steps with its own schedule comes to."""
    few = images.subset(seed=0, val=VAL_ON_THE_WAY)
    network = build(arch, seed=0)
    began = time.process_time()
    end = [began]
    train(
        network,
        few.subset(seed=0, val=100),
        Recipe(steps),
        seed=0,
        progress=lambda *_: end.append(time.process_time()),
        threads=1,
    )
    accuracy, *_ = evaluate(network, few)
    return {
        f"accuracy@{steps} alone": accuracy,
        f"seconds@{steps} alone": round(end[-1] - began, 2),
    }


def main() -> None:
    """Append what is missing in the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="folder:DIR, npz:FILE or cifar10")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", type=int, default=24)
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--alone", type=int, nargs="*", default=[], metavar="STEPS")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    rows = [json.loads(line) for line in _lines(arguments.out)]
    known: dict[Architecture, dict[str, float]] = {}
    for row in rows:
        known.setdefault(codec.from_json(row["arch"]), {}).update(row)
    images = load(arguments.images).for_search(0).subset(seed=0, train=TRAIN)
    steps = epochs(images, arguments.epochs)
    for arch in networks(arguments.networks, images.resolution_px, images.classes):
        row = dict(known.get(arch, {}))
        if "accuracy" not in row:
            row = {"macs": cost(arch).macs, **truth(arch, images, steps)}
            _append(arguments.out, arch, row)
        for shorter in arguments.alone:
            if f"accuracy@{shorter} alone" not in row:
                found = alone(arch, images, shorter)
                _append(arguments.out, arch, {"accuracy": row["accuracy"], **found})


def _lines(path: Path) -> list[str]:
    """The whole lines of the file; one that was cut off is dropped from it."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return whole.splitlines()


def _append(path: Path, arch: Architecture, row: dict[str, float]) -> None:
    with path.open("a") as file:
        file.write(json.dumps({"arch": codec.to_json(arch), **row}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
