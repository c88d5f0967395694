"""What a teacher and parallel branches add to a network, at equal steps and at equal time.

For each seed the network (``--net``: a preset, a JSON file or a run) is trained alone, with a
teacher, with branches, and with both, for the same number of steps; then alone once more for each
of these, for as many steps as take as long. Time is the CPU time of the process, which other
programs disturb less. Every training that has ended is one JSON line of ``records.jsonl`` in
``--out``, and the same command line resumes.

    python benchmarks/teacher.py --images folder:tiny100 --teacher runs/large --out out --threads 1
"""

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import mean

import torch
from asked import begun

from bneck import json_lines, records
from bneck.cli import exit_code_of, new_folder, whole_number
from bneck.derivation.plan import Plan
from bneck.derivation.teacher import load_teacher
from bneck.machine import Compute
from bneck.progress import Progress
from bneck.proxies.data.loading import load
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.proxies.training.validation import evaluate
from bneck.quantities import standard_deviation
from bneck.results.networks import load_network
from bneck.space.backends.branches import branched, fold
from bneck.space.backends.torch_model import Network, build
from bneck.text import number_of
from bneck.units import with_spread

WAYS = {"alone": (False, False), "teacher": (True, False), "branches": (False, True),
        "both": (True, True)}  # fmt: skip
"""Name -> whether there is a teacher, and whether there are branches."""


def main() -> None:
    """Train what has not ended yet, and sum up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, help="folder:DIR, npz:FILE or cifar10")
    parser.add_argument("--teacher", required=True, help="as bneck's --teacher")
    parser.add_argument("--out", type=new_folder, required=True)
    parser.add_argument("--net", default="mobilenet_v3_small", help="a preset, JSON or run")
    parser.add_argument("--px", type=whole_number, default=64)
    parser.add_argument("--steps", type=whole_number, default=600)
    parser.add_argument("--seeds", type=whole_number, default=3)
    parser.add_argument("--threads", type=whole_number, default=1)
    asked = parser.parse_args()

    torch.set_num_threads(asked.threads)
    with begun(asked, "seeds", "threads"):
        compare(asked)


def compare(asked: argparse.Namespace) -> None:
    """Train every way with every seed, and sum up."""
    file = asked.out / "records.jsonl"
    images = load(asked.images, resolution_px=asked.px)
    teacher = load_teacher(Plan(data=asked.images, teacher=asked.teacher), images.info)
    arch = load_network(asked.net, resolution_px=asked.px, classes=images.info.classes)

    def once(name: str, way: str, seed: int, steps: int) -> dict[str, float]:
        known = ended(file)
        if name in known:
            return known[name]
        taught, with_branches = WAYS[way]
        network = (branched if with_branches else build)(arch, seed=seed)
        checkpoint = asked.out / f"{name.replace(' ', '-')}.checkpoint"
        began = time.process_time()
        result = train(
            network,
            images,
            Recipe(steps, ema=0.998),
            seed=seed,
            checkpoint=checkpoint,
            progress=say(name),
            compute=Compute("cpu", asked.threads),
            teacher=teacher if taught else None,
        )
        plain = Network(arch)
        plain.load_state_dict(fold(network))
        row = {
            "name": name,
            "way": way,
            "seed": seed,
            "steps": steps,
            "accuracy": evaluate(plain, images).accuracy.value,
            "branched_accuracy": result.accuracy.value,
            "seconds": result.seconds,
            "cpu_s": time.process_time() - began,  # of the last session alone
        }
        records.append(file, row)
        checkpoint.unlink(missing_ok=True)
        print(json.dumps(row), flush=True)
        return ended(file)[name]

    for seed in range(asked.seeds):
        for way in WAYS:
            once(f"{way} {seed}", way, seed, asked.steps)
    rows = ended(file)
    alone_s = mean(rows[f"alone {seed}"]["cpu_s"] for seed in range(asked.seeds))
    for way in list(WAYS)[1:]:
        way_s = mean(rows[f"{way} {seed}"]["cpu_s"] for seed in range(asked.seeds))
        steps = max(1, round(asked.steps * way_s / alone_s))
        for seed in range(asked.seeds):
            once(f"alone as long as {way} {seed}", "alone", seed, steps)
    summary(ended(file), asked.seeds)


def say(name: str) -> Progress:
    """Return a progress that prints every fiftieth step."""

    def told(what: str, done: int, total: int, note: str = "") -> None:
        if done % 50 == 0:
            print(f"{time.strftime('%H:%M:%S')} {name}: {done}/{total} {note}", flush=True)

    return told


def ended(file: Path) -> dict[str, dict[str, float]]:
    """The trainings that have ended, by name."""
    return {one["name"]: one for _, one in json_lines.read_lines(file)}


def summary(rows: dict[str, dict[str, float]], seeds: int) -> None:
    """Print mean, standard deviation and CPU time of each way, and the gain in pairs by seed."""
    names = [*WAYS, *(f"alone as long as {way}" for way in list(WAYS)[1:])]
    for name in names:
        own = [rows[f"{name} {seed}"] for seed in range(seeds)]
        accuracies = [100 * one["accuracy"] for one in own]
        alone = [100 * rows[f"alone {seed}"]["accuracy"] for seed in range(seeds)]
        gains = [ours - theirs for ours, theirs in zip(accuracies, alone, strict=True)]
        accuracy, gain = (
            with_spread(mean(values), standard_deviation(values), 1)
            for values in (accuracies, gains)
        )
        print(
            f"{name:28} {accuracy} %, gain {'+' * (mean(gains) > 0)}{gain} points, "
            f"{number_of(round(own[0]['steps']), 'step')}, "
            f"{mean(one['cpu_s'] for one in own):.0f} s"
        )


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
