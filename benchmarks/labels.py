"""The price list of labels: networks of similar cost trained from scratch, looked at on the way.

    python benchmarks/labels.py --images folder:cifar --out labels.jsonl --alone 156 312 468
    python benchmarks/labels.py --images folder:photos --resolution 128 --final 80 --alone 156 468
        --px 64 96 128 --train-on 2000 7575 --out 128.jsonl

Random networks of V3-Small's space whose multiply-adds (at 224 px, 1000 classes) lie in a band are
trained for ten epochs on 20,000 images. Each becomes one JSON line of a table that
``bneck proxies score --table`` reads: ``accuracy`` is the end of the training by the averaged
weights, on the images' final validation part, which no signal sees; ``accuracy@156 raw`` and
``accuracy@156 ema`` are what the same training came to after 156 steps, on 5,000 images held out of
the training part. With ``--final`` the whole training part is trained on for so many epochs by the
recipe that `bneck derive` ends with, and not looked at on the way. With ``--alone`` the same
networks are trained again as a search does, for fewer steps with a schedule of their own:
``accuracy@156 alone``; with ``--px`` at other input sides too: ``accuracy@156 alone 64px``; with
``--train-on`` on fewer images: ``accuracy@156 alone 2000 images``. Seconds are of one core's CPU
time, on a GPU of the clock, training only. The same command on the same file resumes: with
``--final`` from each training's checkpoint, else it loses at most the trainings under way. A
network whose training diverges is named and left out. ``benchmarks/price_list.py`` reads the file.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random

import torch

from bneck import json_lines, records
from bneck.cli import exit_code_of, new_file, positive, whole_number
from bneck.derivation.plan import Plan
from bneck.derivation.training_budget import budget
from bneck.executors import Executor, Failed, open_executor
from bneck.machine import Compute
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.proxies.data.worker_images import WorkerImages, whole
from bneck.proxies.training.recipe import Recipe, epochs
from bneck.proxies.training.step import WeightAverage
from bneck.proxies.training.trainer import train
from bneck.proxies.training.validation import evaluate
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


@dataclass(frozen=True)
class Job:
    """One training of a network: to the truth, or (``steps`` given) to a label."""

    arch: Architecture
    steps: int | None = None
    px: int | None = None
    train_on: int | None = None

    @property
    def column(self) -> str:
        """What its accuracy is called in the table."""
        if self.steps is None:
            return "accuracy"
        side = f" {self.px}px" if self.px else ""
        images = f" {self.train_on} images" if self.train_on else ""
        return f"accuracy@{self.steps} alone{side}{images}"


@dataclass(frozen=True)
class Train:
    """A training as an executor's task; returns columns of the table, or why there are none."""

    images: WorkerImages
    epochs: float
    final: Recipe | None
    folder: Path
    device: str

    def __call__(self, job: Job) -> dict[str, float]:
        """Raises ProxyFailed where the training diverges."""
        images, compute = whole(self.images), Compute(self.device, 1)
        if job.steps is not None:
            return self._label(job, images, compute)
        if self.final is None:
            return truth(job.arch, images, epochs(searched(images).info, self.epochs), compute)
        checkpoint = self.folder / f"{codec.key(job.arch)}.checkpoint"
        network = build(job.arch, seed=0)
        found = train(network, images, self.final, seed=0, checkpoint=checkpoint, compute=compute)
        checkpoint.unlink(missing_ok=True)
        return {"accuracy": found.accuracy.value, "seconds@final": round(found.seconds, 2)}

    def _label(self, job: Job, images: ImageSource, compute: Compute) -> dict[str, float]:
        """What a training of so many steps with its own schedule ends with."""
        few = searched(images).subset(seed=0, train=job.train_on, val=VAL_ON_THE_WAY)
        arch = job.arch
        if job.px is not None:
            few, arch = few.resized(job.px), arch.at(resolution_px=job.px)
        network, clock = build(arch, seed=0), clock_of(self.device)
        end = [clock()]

        def look(what: str, done: int, total: int, note: str = "") -> None:
            end.append(clock())

        recipe = Recipe(job.steps or 1)
        brief = few.subset(seed=0, val=100)
        train(network, brief, recipe, seed=0, progress=look, compute=compute)
        found = evaluate(network, few, compute=compute).accuracy.value
        seconds = job.column.replace("accuracy", "seconds", 1)
        return {job.column: found, seconds: round(end[-1] - end[0], 2)}


def clock_of(device: str) -> Callable[[], float]:
    """CPU time where a CPU trains, else the clock."""
    return time.process_time if device == "cpu" else time.monotonic


def truth(
    arch: Architecture, images: ImageSource, steps: int, compute: Compute
) -> dict[str, float]:
    """Accuracy at the end, and on the way."""
    few = searched(images).subset(seed=0, val=VAL_ON_THE_WAY)
    network, clock = build(arch, seed=0), clock_of(compute.device)
    average, averaged = WeightAverage(network, EMA), build(arch, seed=0)
    averaged.to(memory_format=torch.channels_last)
    row: dict[str, float] = {}
    spent, since = 0.0, clock()

    def look(what: str, done: int, total: int, note: str = "") -> None:
        nonlocal spent, since
        average.prepare(done)
        average.update()
        spent += clock() - since
        if done in LOOKS or done == steps:
            average.copy_to(averaged)
            if done == steps:
                row["accuracy"] = evaluate(averaged, images).accuracy.value
            else:
                row[f"accuracy@{done} raw"] = evaluate(network, few).accuracy.value
                row[f"accuracy@{done} ema"] = evaluate(averaged, few).accuracy.value
            row[f"seconds@{done}"] = round(spent, 2)
        since = clock()

    brief, recipe = few.subset(seed=0, val=100), Recipe(steps, ema=None)
    train(network, brief, recipe, seed=0, progress=look, compute=compute)
    return row


def searched(images: ImageSource) -> ImageSource:
    """The images that a search would compare networks on."""
    return images.for_search(0).subset(seed=0, train=TRAIN)


@dataclass(frozen=True)
class Labels:
    """The table's file, and what its rows are made by."""

    path: Path
    task: Train
    executor: Executor

    def add(self, jobs: Sequence[Job]) -> None:
        """Append what is missing; labels only of networks whose truth is known."""
        for kind in (True, False):
            missing = [
                job
                for job in jobs
                if (job.steps is None) == kind
                and job.column not in (known := self._known(job.arch))
                and (kind or "accuracy" in known)
            ]
            for job, outcome in self.executor.map_unordered(self.task, missing):
                if isinstance(outcome, Failed):
                    print(f"left out: {outcome.reason}", file=sys.stderr, flush=True)
                else:
                    self._append(job.arch, outcome)

    def _known(self, arch: Architecture) -> dict[str, float]:
        """All that the file says of a network."""
        rows = (row for _, row in json_lines.read_lines(self.path))
        same = (row for row in rows if codec.from_json(row["arch"]) == arch)
        return {name: value for row in same for name, value in row.items()}

    def _append(self, arch: Architecture, found: dict[str, float]) -> None:
        row = {"macs": cost(arch).macs, **self._known(arch), **found}
        records.append(self.path, {**row, "arch": codec.to_json(arch)})
        print(json.dumps({name: v for name, v in row.items() if name != "arch"}), flush=True)


def main() -> None:
    """Append what is missing in the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", required=True, help="folder:DIR, npz:FILE or cifar10")
    parser.add_argument("--resolution", type=whole_number, help="side of the full trainings, in px")
    parser.add_argument("--out", type=new_file, required=True)
    parser.add_argument("--networks", type=whole_number, default=24)
    parser.add_argument("--epochs", type=positive, default=10)
    parser.add_argument("--final", type=positive, metavar="EPOCHS", help="by the final recipe")
    parser.add_argument("--alone", type=whole_number, nargs="*", default=[], metavar="STEPS")
    parser.add_argument(
        "--px", type=whole_number, nargs="*", default=[], help="sides to train alone at"
    )
    parser.add_argument(
        "--train-on", type=whole_number, nargs="*", default=[], help="images, likewise"
    )
    parser.add_argument("--workers", type=whole_number, default=1, help="trainings at once")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()

    info = load(asked.images, resolution_px=asked.resolution).info
    own_px = info.resolution_px
    images = WorkerImages(asked.images, own_px, own_px, 0)
    final = None
    if asked.final is not None:
        plan = Plan(data=asked.images, resolution_px=own_px, epochs=asked.final)
        final = budget(plan, info).final
    folder = asked.out.with_suffix(".checkpoints")
    folder.mkdir(parents=True, exist_ok=True)
    archs = list(networks(asked.networks, own_px, info.classes))
    sides = [None if px == own_px else px for px in asked.px] or [None]
    jobs = [Job(arch) for arch in archs] + [
        Job(arch, steps, px, train_on)
        for steps, px, train_on in product(asked.alone, sides, asked.train_on or [None])
        for arch in archs
    ]
    executor = open_executor(asked.workers, device=asked.device)
    try:
        task = Train(images, asked.epochs, final, folder, asked.device)
        Labels(asked.out, task, executor).add(jobs)
    finally:
        executor.close()


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
