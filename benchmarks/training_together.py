"""One training by one and by several processes: how far the losses of its first steps part.

    python benchmarks/training_together.py --data folder:imagenette

The training is a derivation's final one, on the CPU in float32, with the schedule of all its epochs
and only its first steps taken. Rounding parts any two trainings in time: how fast is seen beside it
from one process whose first weights are changed by 6e-8, half of float32's precision.
"""

import argparse
import json
import sys
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from bneck.cli import exit_code_of, positive, whole_from_zero, whole_number
from bneck.derivation.plan import Plan
from bneck.derivation.training_budget import budget
from bneck.errors import BneckError
from bneck.executors import Executor, Failed, open_executor, open_together
from bneck.machine import ONE_THREAD
from bneck.proxies.data.loading import load
from bneck.proxies.data.worker_images import WorkerImages, whole
from bneck.proxies.training.distributed import mean_over_processes, processes, rank
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.step import learn_labels
from bneck.proxies.training.trainer import train
from bneck.space import presets
from bneck.space.architecture import Architecture
from bneck.space.backends.torch_model import build
from bneck.text import number_of

ROUNDING = 6e-8


class Stop(Exception):
    """The last step that is looked at has been taken."""


@dataclass(frozen=True)
class FirstSteps:
    """The first steps of a training as an executor's task; the item is the weights' change."""

    images: WorkerImages
    arch: Architecture
    recipe: Recipe
    steps: int
    seed: int

    def __call__(self, change: float) -> list[float]:
        """Return the loss of each step, over the whole batch."""
        losses: list[float] = []
        learn = partial(learn_labels, label_smoothing=self.recipe.label_smoothing)

        def remember(network: nn.Module, pixels: Tensor, labels: Tensor, step: int) -> Tensor:
            if step == self.steps:
                raise Stop
            loss = learn(network, pixels, labels, step)
            losses.append(mean_over_processes(loss))
            if rank() == 0:
                what = f"{number_of(processes(), 'process')}, weights changed by {change:g}"
                print(f"{what}: step {step + 1}, loss {losses[-1]!r}", file=sys.stderr, flush=True)
            return loss

        network = build(self.arch, seed=self.seed)
        with torch.no_grad():
            for weights in network.parameters():
                weights.copy_(weights.double() * (1 + change))
        with suppress(Stop):
            train(
                network,
                whole(self.images),
                self.recipe,
                seed=self.seed,
                compute=ONE_THREAD,
                backpropagate=remember,
            )
        return losses


def losses_by_change(
    executor: Executor, task: FirstSteps, changes: list[float]
) -> dict[float, list[float]]:
    """Return the losses of a training for each change of the first weights."""
    found = {}
    for change, losses in executor.map_unordered(task, changes):
        if isinstance(losses, Failed):
            raise BneckError(losses.reason)
        found[change] = losses
    return found


def largest_difference(losses: list[float], reference: list[float]) -> tuple[float, int]:
    """Return the largest relative difference, and its step, counted from 1."""
    pairs = zip(losses, reference, strict=True)
    differences = [abs(one - other) / other for one, other in pairs]
    return max(differences), differences.index(max(differences)) + 1


def main() -> None:
    """Print the largest relative difference of the losses, and of those after rounding alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="such as folder:imagenette")
    parser.add_argument("--network", default="mobilenet_v3_small")
    parser.add_argument("--side", type=whole_number, default=128, help="in pixels")
    parser.add_argument("--epochs", type=positive, default=80, help="of the schedule")
    parser.add_argument("--steps", type=whole_number, default=50)
    parser.add_argument("--processes", type=whole_number, default=2)
    parser.add_argument("--seed", type=whole_from_zero, default=0)
    arguments = parser.parse_args()
    side = arguments.side
    info = load(arguments.data, resolution_px=side, seed=arguments.seed).info
    asked = budget(Plan(data=arguments.data, epochs=arguments.epochs, seed=arguments.seed), info)
    arch = presets.build(arguments.network, resolution_px=side, classes=info.classes)
    task = FirstSteps(asked.images, arch, asked.final, arguments.steps, arguments.seed)

    together = open_together(arguments.processes, "cpu")
    by_several = losses_by_change(together, task, [0.0])[0.0]
    with closing(open_executor(2)) as alone:
        by_change = losses_by_change(alone, task, [0.0, ROUNDING])
    by_one, changed = by_change[0.0], by_change[ROUNDING]
    result: dict[str, object] = {
        "steps": arguments.steps,
        "of": asked.final.steps,
        "batch_size": asked.final.batch_size,
        "augmentation": asked.final.augmentation,
        "learning_rates": [asked.final.learning_rate_at(n) for n in (0, arguments.steps - 1)],
        "losses": [by_one[0], by_one[-1]],
    }
    several = number_of(arguments.processes, "process")
    for name, losses in ((several, by_several), ("rounding", changed)):
        largest, step = largest_difference(losses, by_one)
        result[name] = {"largest_relative_difference": largest, "at_step": step}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
