"""How labels from inherited weights, and accuracies read off shared ones, rank networks in a band.

Random networks of V3-Small's space of one latency (within 5 % of MobileNetV3-Small's, as
``--latency`` predicts it; else in a band of multiply-adds) are trained from random weights for
``--truth`` steps, and from the pretrained network's for ``--tuned-truth`` steps, which is what a
label should tell. Then each gets a label from random weights in
``--steps`` steps, and labels from a pretrained network's weights in each of ``--tuned`` steps, at
each of ``--rates``. Where these are elastic weights (``bneck pretrain --elastic``), its accuracy is
read off them too, after recalibrating batch norms; without ``--pretrained`` such weights are
trained here first, on the same images. Truth is counted on the final validation images with seed 0,
labels on images held out of the training part with seed 1. Every training that has ended is one
JSON line of ``records.jsonl`` in ``--out``, and the same command line resumes.

    python benchmarks/inherited_labels.py --images folder:photos160 --latency cpu.json --out out
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch
from asked import begun
from labels import networks

from bneck import json_lines, records
from bneck.cli import exit_code_of, new_folder, positive, run, whole_from_zero, whole_number
from bneck.derivation.pretrained import load_pretrained
from bneck.derivation.training_budget import TUNING_RATE
from bneck.files import is_written
from bneck.latency import model
from bneck.machine import Compute
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.proxies.shared_weights import SharedWeights
from bneck.proxies.surrogate.correlation import bootstrap, kendall, spearman
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.backends.parent import Parent
from bneck.space.backends.torch_model import build
from bneck.units import percent

WITHIN = 0.05
"""Of MobileNetV3-Small's latency: half of the band's width."""


def main() -> None:
    """Train what has not ended yet, and sum up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="folder:DIR, npz:FILE or cifar10")
    parser.add_argument("--pretrained", help="as bneck's --pretrained; elastic weights otherwise")
    parser.add_argument("--elastic-epochs", type=positive, default=30, help="to train these")
    parser.add_argument("--latency", type=Path, help="model of the device, at --px")
    parser.add_argument("--out", type=new_folder, required=True)
    parser.add_argument("--px", type=whole_number, default=64)
    parser.add_argument("--networks", type=whole_number, default=24)
    parser.add_argument("--truth", type=whole_from_zero, default=1000, help="steps, 0 for none")
    parser.add_argument("--tuned-truth", type=whole_from_zero, default=0, help="steps, 0 for none")
    parser.add_argument(
        "--steps", type=whole_number, default=240, help="of a label from random weights"
    )
    parser.add_argument("--tuned", type=whole_number, nargs="*", default=[20, 60], help="steps")
    parser.add_argument("--rates", type=positive, nargs="*", default=[1e-3])
    parser.add_argument("--threads", type=whole_number, default=1)
    asked = parser.parse_args()

    torch.set_num_threads(asked.threads)
    with begun(asked, "networks", "tuned", "rates", "threads"):
        compare(asked)


def compare(asked: argparse.Namespace) -> None:
    """Label every network in every way, and sum up."""
    images = load(asked.images, resolution_px=asked.px)
    classes = images.info.classes
    pretrained = Path(asked.pretrained or asked.out / "elastic")
    if asked.pretrained is None and not is_written(pretrained / "ended.json"):
        words = ["pretrain", "--elastic", "--data", asked.images, "--resolution", str(asked.px),
                 "--epochs", str(asked.elastic_epochs), "--out", str(pretrained)]  # fmt: skip
        if code := run(words):
            raise SystemExit(code)
    found = load_pretrained(str(pretrained), "v3-small", None)
    elastic = found.shared is not None
    parent = Parent.of(
        found.arch,
        found.state if found.shared is None else found.shared,
        same_classes=found.has_classes(images.info.class_names),
        elastic=elastic,
    )
    if asked.latency is None:
        archs = list(networks(asked.networks, asked.px, classes))
    else:
        archs = list(of_one_latency(asked.latency, asked.networks, asked.px, classes))
    trainings = Trainings(asked.out, images, asked.threads)
    inherited = images.normalised_with(*found.normalisation) if found.normalisation else images
    of_search, inherited_of_search = images.for_search(0), inherited.for_search(0)
    read_off = elastic and parent.same_classes
    for number, arch in enumerate(archs):
        if read_off:
            trainings.read_off(f"read off {number}", arch, pretrained)
        for steps in asked.tuned:
            for rate in asked.rates:
                name, recipe = f"{steps} steps at {rate:g}", Recipe(steps, learning_rate=rate)
                trainings.trained(
                    f"{name} {number}", arch, inherited_of_search, recipe, seed=1, start=parent
                )
        trainings.trained(f"scratch {number}", arch, of_search, Recipe(asked.steps), seed=1)
        if asked.truth:
            recipe = Recipe(asked.truth, ema=0.998)
            trainings.trained(f"truth {number}", arch, images, recipe, seed=0)
        if asked.tuned_truth:
            recipe = Recipe(asked.tuned_truth, learning_rate=TUNING_RATE, ema=0.998)
            name = f"tuned truth {number}"
            trainings.trained(name, arch, inherited, recipe, seed=0, start=parent)
    tuned = [f"{steps} steps at {rate:g}" for steps in asked.tuned for rate in asked.rates]
    kinds = ["read off"] * read_off + tuned + ["scratch"]
    for truth in ["truth"] * bool(asked.truth) + ["tuned truth"] * bool(asked.tuned_truth):
        summary(trainings.known, truth, kinds, len(archs))


def of_one_latency(file: Path, count: int, side_px: int, classes: int) -> Iterator[Architecture]:
    """Random networks of V3-Small's space and latency, always the same ones in the same order."""
    device = model.load(file)
    size = {"resolution_px": side_px, "classes": classes}
    space, draw = spaces.build("v3-small", **size), Random(0)
    wanted_ms = device.predict(presets.build("mobilenet_v3_small").at(**size)).ms
    while count:
        arch = space.decode(space.sample(draw.getrandbits(32)))
        if abs(device.predict(arch).ms / wanted_ms - 1) <= WITHIN:
            count -= 1
            yield arch


class Trainings:
    """What has ended, by name: accuracies and seconds, one JSON line each."""

    def __init__(self, out: Path, images: ImageSource, threads: int) -> None:
        self.out, self.images, self.compute = out, images, Compute("cpu", threads)
        self.file = out / "records.jsonl"
        self.known: dict[str, dict[str, Any]] = {
            one["name"]: one for _, one in json_lines.read_lines(self.file)
        }

    def read_off(self, name: str, arch: Architecture, elastic: Path) -> None:
        """The accuracy that a search reads off shared weights."""
        proxy = SharedWeights(elastic, self.images.for_search(0), compute=self.compute)
        self._once(name, lambda: proxy(arch, seed=0))

    def trained(
        self,
        name: str,
        arch: Architecture,
        images: ImageSource,
        recipe: Recipe,
        *,
        seed: int,
        start: Parent | None = None,
    ) -> None:
        """The accuracy after a training, from inherited or from random weights."""
        self._once(name, lambda: self._train(name, arch, images, recipe, seed, start))

    def _train(
        self,
        name: str,
        arch: Architecture,
        images: ImageSource,
        recipe: Recipe,
        seed: int,
        start: Parent | None,
    ) -> float:
        network = build(arch, seed=seed)
        if start is not None:
            network.load_state_dict(start.weights_for(arch, seed=seed).state)
        file = self.out / f"{name.replace(' ', '-')}.checkpoint"
        found = train(
            network, images, recipe, seed=seed, checkpoint=file, compute=self.compute
        ).accuracy.value
        file.unlink(missing_ok=True)
        return found

    def _once(self, name: str, find: Callable[[], float]) -> None:
        if name in self.known:
            return
        began = time.process_time()
        row: dict[str, Any] = {
            "name": name,
            "accuracy": find(),
            "cpu_s": round(time.process_time() - began, 2),
        }
        self.known[name] = row
        records.append(self.file, row)
        print(f"{time.strftime('%H:%M:%S')} {json.dumps(row)}", flush=True)


def summary(rows: dict[str, dict[str, Any]], true_name: str, kinds: list[str], count: int) -> None:
    """Print how each kind of label ranks the networks, with 95 % intervals, and its cost."""
    truth = [rows[f"{true_name} {number}"]["accuracy"] for number in range(count)]
    print(f"{count} networks, {true_name} {100 * min(truth):.1f} to {percent(max(truth))}")
    for kind in kinds:
        own = [rows[f"{kind} {number}"] for number in range(count)]
        values = [one["accuracy"] for one in own]
        seconds = sum(one["cpu_s"] for one in own) / count
        found = ", ".join(
            f"{name} {found.value:+.2f} ({found.low:+.2f} to {found.high:+.2f})"
            for name, measure in (("Kendall", kendall), ("Spearman", spearman))
            for found in (bootstrap(measure, values, truth, seed=0),)
        )
        print(f"{kind:20} {found}; {seconds:.1f} s each")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
