"""Whether labels from inherited weights rank networks as well as labels from random ones.

Random networks of V3-Small's space whose multiply-adds (at 224 px) lie in a band are trained from
random weights for ``--truth`` steps, which is what a label should tell. Then each gets a label from
random weights in ``--steps`` steps, and labels from a pretrained network's weights in a quarter of
them, one for each of ``--rates``. Truth is counted on the final validation images with seed 0,
labels on images held out of the training part with seed 1. Every training that has ended is one
JSON line of ``records.jsonl`` in ``--out``, and the same command line resumes.

    python benchmarks/inherited_labels.py --images folder:photos160 --pretrained runs/pre --out out
"""

import argparse
import json
import time
from pathlib import Path

import torch
from labels import networks

from bneck.derivation.pretrained import load_pretrained
from bneck.machine import Compute
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.proxies.surrogate.correlation import bootstrap, kendall, spearman
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.space.architecture import Architecture
from bneck.space.backends.parent import Parent
from bneck.space.backends.torch_model import build


def main() -> None:
    """Train what has not ended yet, and sum up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="folder:DIR, npz:FILE or cifar10")
    parser.add_argument("--pretrained", required=True, help="as bneck's --pretrained")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--px", type=int, default=64)
    parser.add_argument("--networks", type=int, default=12)
    parser.add_argument("--truth", type=int, default=1000, help="steps")
    parser.add_argument("--steps", type=int, default=240, help="of a label from random weights")
    parser.add_argument("--rates", type=float, nargs="*", default=[1e-3])
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()

    torch.set_num_threads(asked.threads)
    asked.out.mkdir(parents=True, exist_ok=True)
    file = asked.out / "records.jsonl"
    images = load(asked.images, resolution_px=asked.px)
    found = load_pretrained(asked.pretrained, "v3-small", None)
    parent = Parent.of(
        found.arch, found.state, same_classes=found.has_classes(images.info.class_names)
    )
    inherited = images.normalised_with(*found.normalisation) if found.normalisation else images
    archs = list(networks(asked.networks, asked.px, images.info.classes))

    def once(
        name: str,
        arch: Architecture,
        shown: ImageSource,
        recipe: Recipe,
        *,
        seed: int,
        start: Parent | None = None,
    ) -> None:
        if name in records(file):
            return
        network = build(arch, seed=seed)
        if start is not None:
            network.load_state_dict(start.weights_for(arch, seed=seed).state)
        checkpoint = asked.out / f"{name.replace(' ', '-')}.checkpoint"
        compute = Compute("cpu", asked.threads)
        result = train(network, shown, recipe, seed=seed, checkpoint=checkpoint, compute=compute)
        row = {"name": name, "accuracy": result.accuracy.value, "seconds": result.seconds}
        with file.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        checkpoint.unlink(missing_ok=True)
        print(f"{time.strftime('%H:%M:%S')} {json.dumps(row)}", flush=True)

    for number, arch in enumerate(archs):
        scratch, short = Recipe(asked.steps), asked.steps // 4
        once(f"scratch {number}", arch, images.for_search(0), scratch, seed=1)
        for rate in asked.rates:
            recipe = Recipe(short, learning_rate=rate)
            name = f"inherited {rate:g} {number}"
            once(name, arch, inherited.for_search(0), recipe, seed=1, start=parent)
        once(f"truth {number}", arch, images, Recipe(asked.truth, ema=0.998), seed=0)
    summary(
        records(file), ["scratch", *(f"inherited {rate:g}" for rate in asked.rates)], len(archs)
    )


def records(file: Path) -> dict[str, dict[str, float]]:
    """The trainings that have ended, by name."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {one["name"]: one for one in map(json.loads, lines)}


def summary(rows: dict[str, dict[str, float]], kinds: list[str], count: int) -> None:
    """Print how each kind of label ranks the networks, with bootstrapped intervals."""
    truth = [rows[f"truth {number}"]["accuracy"] for number in range(count)]
    for kind in kinds:
        own = [rows[f"{kind} {number}"]["accuracy"] for number in range(count)]
        print(f"{kind:20} Spearman {bootstrap(spearman, own, truth, seed=0)}, Kendall "
              f"{bootstrap(kendall, own, truth, seed=0)}, {count} networks")  # fmt: skip


if __name__ == "__main__":
    main()
