"""Training on a CUDA GPU: captured against eager steps, and labels per hour; ratios of one run.

MobileNetV3-Small trains on random pixels, kept on the GPU, in chunks of steps that alternate
between the two ways, so that a GPU that grows warm slows both. Labels are short trainings of new
networks of the space, one after another or by several processes that share the GPU, first use of
their kernels and start of the processes included. The card is printed first, then each figure as
soon as it is there: by the rates of an H100, two minutes for the steps and five for the labels.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache, partial

import torch

from bneck.cli import exit_code_of, positive, whole_number
from bneck.errors import UsageError
from bneck.machine import GPU_SHARE, Compute
from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_source import ImageSource, in_memory
from bneck.proxies.data.loading import load
from bneck.proxies.training.cuda import WARM_UP, CapturedStep, convolution_paths
from bneck.proxies.training.device import computing, torch_device
from bneck.proxies.training.recipe import Recipe, epochs
from bneck.proxies.training.step import TrainingStep, WeightAverage, learn_labels
from bneck.proxies.training.trainer import train
from bneck.space import presets, spaces
from bneck.space.backends.torch_model import build

SIZES = ((64, 128), (128, 256))
"""(resolution in pixels, batch)"""


@cache
def noise(px: int, count: int = 4096, classes: int = 10) -> ImageSource:
    """Random images of random classes."""
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 3, px, px), generator=draw, dtype=torch.uint8)
    labels = torch.randint(classes, (count,), generator=draw)
    part = (pixels, labels)
    return in_memory("noise", [str(n) for n in range(classes)], part, (pixels[:64], labels[:64]))


class Way:
    """One way to take the steps of a training."""

    def __init__(self, px: int, batch: int, *, captured: bool, precision: str) -> None:
        device = torch_device("cuda")
        arch = presets.build("mobilenet_v3_small", resolution_px=px, classes=10)
        self.network = build(arch).to(device).to(memory_format=torch.channels_last).train()
        self.recipe, self.batch, self.precision = Recipe(100_000, batch), batch, precision
        average = WeightAverage(self.network, 0.98)
        learn = partial(learn_labels, label_smoothing=0.1, bf16=precision == "bf16")
        optimizer = self.recipe.optimizer_for(self.network)
        self.step = TrainingStep(self.network, optimizer, average, learn)
        self.run = CapturedStep(self.step) if captured else self.step
        self.batches, self.number = Batches(noise(px), batch, 0, device=device), 0

    def images_per_second(self, steps: int) -> float:
        """Of so many steps more."""
        torch.cuda.synchronize()
        began = time.perf_counter()
        with convolution_paths(self.network, self.precision):
            for _ in range(steps):
                pixels, labels = self.batches[self.number]
                self.step.prepare(self.number, self.recipe, 0)
                self.run(pixels, labels, self.number)
                self.number += 1
        torch.cuda.synchronize()
        return steps * self.batch / (time.perf_counter() - began)


def captured_against_eager(
    px: int, batch: int, precision: str, pairs: int, steps: int
) -> dict[str, object]:
    """Images per second of both ways, and their ratio."""
    ways = [Way(px, batch, captured=captured, precision=precision) for captured in (False, True)]
    for way in ways:
        way.images_per_second(WARM_UP + 7)
    speeds = [[way.images_per_second(steps) for way in ways] for _ in range(pairs)]
    ratios = sorted(captured / eager for eager, captured in speeds)
    eager, captured = (statistics.median(way) for way in zip(*speeds, strict=True))
    return {
        "resolution_px": px,
        "batch": batch,
        "precision": precision,
        "eager_images_per_second": round(eager),
        "captured_images_per_second": round(captured),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
    }


def label(data: str, px: int, count: float, first: int, every: int, labels: int) -> None:
    """Train networks number ``first``, ``first + every``, ... of the space's random ones."""
    images = load(data, resolution_px=px, seed=0).for_search(0)
    space = spaces.build("v3-small", resolution_px=px, classes=images.info.classes)
    recipe = Recipe(epochs(images.info, count))
    with computing(Compute("cuda", threads=1)):
        for number in range(first, labels, every):
            network = build(space.decode(space.sample(number)))
            train(network, images, recipe, seed=0, compute=Compute("cuda", threads=1))


def labels_per_hour(arguments: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Labels of new networks by one process, then by several."""
    load(arguments.data, resolution_px=arguments.px, seed=0)  # decoded before the clock starts
    for workers in sorted({1, arguments.workers}):
        began = time.perf_counter()
        more = ["--data", arguments.data, "--epochs", str(arguments.epochs)]
        more += ["--labels", str(arguments.labels), "--px", str(arguments.px)]
        share = os.environ | {GPU_SHARE: repr(1 / workers)}  # as derive's workers have it
        crew = [
            subprocess.Popen(
                [sys.executable, __file__, *more, "--part", f"{one}/{workers}"], env=share
            )
            for one in range(workers)
        ]
        if max(process.wait() for process in crew):
            raise SystemExit("a worker failed")
        hours = (time.perf_counter() - began) / 3600
        yield {
            "data": arguments.data,
            "resolution_px": arguments.px,
            "epochs": arguments.epochs,
            "labels": arguments.labels,
            "workers": workers,
            "labels_per_hour": round(arguments.labels / hours),
        }


def main() -> None:
    """Print the card, the two ways' speeds and the labels per hour."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=whole_number, default=8, help="pairs of chunks")
    parser.add_argument("--steps", type=whole_number, default=50, help="steps in a chunk")
    parser.add_argument("--data", help="images to label networks on, such as folder:imagenette")
    parser.add_argument("--px", type=whole_number, default=128)
    parser.add_argument("--epochs", type=positive, default=16)
    parser.add_argument("--labels", type=whole_number, default=16)
    parser.add_argument("--workers", type=whole_number, default=4)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        device = torch_device("cuda")
    except UsageError as error:
        raise SystemExit(f"no GPU to measure: {error}") from None
    if arguments.part:
        first, every = map(int, arguments.part.split("/"))
        label(arguments.data, arguments.px, arguments.epochs, first, every, arguments.labels)
        return
    card = torch.cuda.get_device_name(device)
    about = {"card": card, "torch": torch.__version__, "cuda": torch.version.cuda}
    print(json.dumps(about), flush=True)
    for px, batch in SIZES:
        for precision in ("bf16", "tf32"):
            found = captured_against_eager(px, batch, precision, arguments.pairs, arguments.steps)
            print(json.dumps(found), flush=True)
    for label_rate in labels_per_hour(arguments) if arguments.data else ():
        print(json.dumps(label_rate), flush=True)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
