"""Augmentations compared: MobileNetV3-Small trained in full by each, over several seeds.

    python benchmarks/augmentation.py --data folder:imagenette --out runs/augmentation

All else is a derivation's final training (batch, learning rate, average). The trainings of one seed
begin with the same weights and see the same order of images, so accuracies are compared in pairs.
Interrupted, the same command resumes; further seeds and augmentations may be added.
"""

import argparse
import statistics
import sys

from asked import begun

from bneck.cli import exit_code_of, new_folder, positive, whole_number
from bneck.derivation.plan import Plan
from bneck.derivation.stages.kept_training import train_and_keep
from bneck.derivation.training_budget import budget
from bneck.machine import Compute
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.quantities import standard_deviation
from bneck.results.run_files import TrainingFiles
from bneck.results.stage_record import Training
from bneck.space import presets

CROPS = ("crop-and-flip", "random-resized-crop")


def progress(what: str, done: int, total: int, note: str = "") -> None:
    """One line, now and then."""
    if done % 50 == 0 or done == total:
        print(f"{what}: step {done} of {total}, {note}", file=sys.stderr, flush=True)


def trained(arguments: argparse.Namespace, images: ImageSource, words: str, seed: int) -> Training:
    """The training by an augmentation, or what an earlier command found."""
    side = images.info.resolution_px
    plan = Plan(data=arguments.data, epochs=arguments.epochs, augmentation=words)
    arch = presets.build(arguments.network, resolution_px=side, classes=images.info.classes)
    return train_and_keep(
        arch,
        images,
        budget(plan, images.info).final,
        TrainingFiles(arguments.out, f"{words}-{side}px-{arguments.epochs:g}-{seed}"),
        seed=seed,
        progress=progress,
        compute=Compute(arguments.device, arguments.threads),
    )[0]


def main() -> None:
    """Train all, seed by seed, and print accuracies and differences to the first augmentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="such as folder:imagenette")
    parser.add_argument(
        "--out", type=new_folder, required=True, help="folder of results, for resuming"
    )
    parser.add_argument("--side", type=whole_number, default=128, help="in pixels")
    parser.add_argument("--epochs", type=positive, default=15)
    parser.add_argument("--seeds", type=whole_number, default=3)
    parser.add_argument("--augmentations", nargs="+", default=CROPS, help="words joined by +")
    parser.add_argument("--network", default="mobilenet_v3_small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=whole_number, default=1)
    arguments = parser.parse_args()
    with begun(arguments, "side", "epochs", "seeds", "augmentations", "threads"):
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Train by every augmentation with every seed, and sum up."""
    images = load(arguments.data, resolution_px=arguments.side, seed=0)
    found: dict[str, list[float]] = {words: [] for words in arguments.augmentations}
    first = arguments.augmentations[0]
    for seed in range(arguments.seeds):
        for words, accuracies in found.items():
            one = trained(arguments, images, words, seed)
            accuracies.append(100 * one.accuracy.value)
            print(
                f"{words}, seed {seed}: {accuracies[-1]:.2f} % in {one.seconds:.0f} s", flush=True
            )
    for words, accuracies in found.items():
        print({"augmentation": words} | summary(accuracies, found[first]))


def summary(accuracies: list[float], base: list[float]) -> dict[str, object]:
    """Mean and spread in per cent, and the differences to ``base`` seed by seed."""
    differences = [one - other for one, other in zip(accuracies, base, strict=True)]
    spread = standard_deviation(accuracies)
    return {
        "accuracies": [round(one, 2) for one in accuracies],
        "mean": round(statistics.mean(accuracies), 2),
        "sd": None if spread is None else round(spread, 2),
        "differences": [round(one, 2) for one in differences],
    }


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
