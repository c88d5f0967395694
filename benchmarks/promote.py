"""What longer trainings of the best are worth, at equal training time, on a table of known truth.

Each search is the real one. A network's label after s steps is its true accuracy, plus a bias of
the short training that fades with s, plus the noise of one run. How much was measured: on
Imagenette at 128 px, 16 networks of equal cost were ranked against 80 epochs with a correlation of
0.59 after 8 epochs and 0.69 after 16, where a run's own noise is half of the networks' spread. From
these follow 0.74 after 24 epochs and 0.85 after 72 (``--correlations``, of the rungs). ``--missed``
adds what short trainings cannot see of wide networks: so many points for each doubling of
multiply-adds, fading as the bias does. Compared are, for the same number of training steps:
``plain`` (all networks for one length), ``long`` (a third of them, three times as long) and
``promote`` (fewer networks; the best four for each target longer, and the best two of those again).
Printed is how far below the table's best network under each target the named one truly is, and how
often a slower target's network is truly less accurate than a faster one's.

The same on images, with the same steps for both; what these two name is then to be compared by
``bneck train`` (ASKED is what they have in common)::

    bneck search $ASKED --search-steps 156 --evaluations 24 --promote --out promote
    bneck search $ASKED --search-steps 156 --evaluations 56 --out plain
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass, field
from itertools import pairwise
from math import log2, sqrt
from pathlib import Path
from random import Random

import numpy as np

from bneck.cli import exit_code_of, from_zero, positive, whole_from_zero, whole_number
from bneck.errors import UsageError
from bneck.executors.serial import Serial
from bneck.latency.measure import Measured
from bneck.proxies.surrogate.table import load
from bneck.quantities import Latency, standard_error
from bneck.search.objectives import Objectives, Target
from bneck.search.promotion import FINALISTS, LONGER, search_steps, steps_on, trained_longest
from bneck.search.search import search
from bneck.search.selection import select_network
from bneck.search.study import Study
from bneck.space import codec
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.space.cost import cost

RUNGS = 1 + len(FINALISTS)
SEED_FACTOR = 1.25
"""Each target's networks are searched from it up to so many times it, as `bneck derive` does."""
RUN_NOISE = 0.5
"""Of one run, as a share of the networks' spread."""
MIDDLE = 50e6
"""Multiply-adds about which ``--missed`` turns: a constant to all labels, which changes nothing."""


class MacsDevice:
    """A million multiply-adds a millisecond."""

    def predict(self, arch: Architecture) -> Latency:
        """Exact."""
        return Latency(cost(arch).macs / 1e6, 0.0)


def accuracy_alone(accuracy: float, latency_ms: float) -> float:
    """The reward: under the ceiling, the most accurate network wins."""
    return accuracy


@dataclass(frozen=True)
class Labels:
    """Labels of trainings of each rung's steps."""

    truth: dict[Architecture, float]
    spread: float
    correlations: list[float]
    seed: int
    first: int = 0
    """The rung that a search begins on."""
    missed: float = 0.0
    """Accuracy for each doubling of multiply-adds that the shortest training cannot see."""
    biases: list[float] = field(init=False)

    def __post_init__(self) -> None:
        errors = [1 / rho**2 - 1 - RUN_NOISE**2 for rho in self.correlations]
        object.__setattr__(self, "biases", [sqrt(max(0.0, error)) for error in errors])

    def __call__(self, arch: Architecture, rung: int = 0) -> float:
        """From 0 to 1; what a longer training still lacks is a part of what a shorter one lacks."""
        rung += self.first
        draw = Random(f"{codec.key(arch)} {self.seed}")
        steps = [draw.gauss(0, 1) for _ in self.biases]
        runs = [draw.gauss(0, RUN_NOISE) for _ in self.biases]
        later = [*self.biases[1:], 0.0]
        fades = [
            sqrt(max(0.0, b**2 - after**2)) for b, after in zip(self.biases, later, strict=True)
        ]
        error = (
            sum(z * fade for z, fade in zip(steps[rung:], fades[rung:], strict=True)) + runs[rung]
        )
        unseen = self.missed * self.biases[rung] / self.biases[0] * log2(cost(arch).macs / MIDDLE)
        return min(1.0, max(0.0, self.truth[arch] + self.spread * error - unseen))


def spread_at_equal_cost(truth: dict[Architecture, float]) -> float:
    """The standard deviation of accuracies about their line over the logarithm of multiply-adds."""
    x = np.log([cost(arch).macs for arch in truth])
    y = np.array(list(truth.values()))
    return float(np.std(y - np.polyval(np.polyfit(x, y, 1), x)))


def named(
    space: Space,
    labels: Labels,
    targets_ms: list[float],
    networks: int,
    *,
    promote: bool,
    seed: int,
) -> list[Architecture]:
    """The network that a search names for each target."""
    targets = [Target(accuracy_alone, ms, SEED_FACTOR * ms, ms) for ms in targets_ms]
    objectives = Objectives(space, MacsDevice(), targets)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        study = Study(
            Path(folder) / "journal.log",
            space,
            sampler="surrogate",
            seed=seed,
            parallel=4,
            promote=promote,
        )
        records = search(
            study, labels, objectives=objectives, evaluations=networks, executor=Serial()
        )
        known = study.labels()
    longest = trained_longest(records)
    return [
        select_network(longest, objectives, place, known, measured).arch
        for place in range(len(targets))
    ]


def measured(arch: Architecture) -> Measured:
    """As predicted."""
    return Measured(MacsDevice().predict(arch).ms, 0.0)


def main() -> None:
    """Print the mean regret of each kind of search, with its standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True, help="complete: NAS-Bench-Macro")
    parser.add_argument(
        "--networks", type=whole_number, nargs="+", default=[24], help="with promotion"
    )
    parser.add_argument("--quantiles", type=positive, nargs="+", default=[0.4], help="the targets")
    parser.add_argument("--correlations", type=positive, nargs=RUNGS, default=[0.59, 0.74, 0.85])
    parser.add_argument("--missed", type=from_zero, default=0.0, help="points a doubling")
    parser.add_argument("--seeds", type=whole_number, default=20)
    parser.add_argument("--first-seed", type=whole_from_zero, default=0)
    arguments = parser.parse_args()

    table = load(arguments.table)
    if table.space is None:
        raise UsageError(f"{arguments.table} names no space that could be searched")
    truth = dict(table.accuracies)
    spread = spread_at_equal_cost(truth)
    macs = [cost(arch).macs / 1e6 for arch in truth]
    targets_ms = [float(ms) for ms in np.quantile(macs, sorted(arguments.quantiles))]
    best = [
        max(found for arch, found in truth.items() if cost(arch).macs <= 1e6 * SEED_FACTOR * ms)
        for ms in targets_ms
    ]
    for networks in arguments.networks:
        steps = search_steps(networks, len(targets_ms), 1, steps_on(len(FINALISTS), 1))
        kinds = {
            "plain": (0, steps, False),
            "long": (1, steps // LONGER, False),
            "promote": (0, networks, True),
        }
        for name, (first, count, promote) in kinds.items():
            regrets, falls = [], []
            for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
                labels = Labels(
                    truth, spread, arguments.correlations, seed, first, arguments.missed / 100
                )
                archs = named(table.space, labels, targets_ms, count, promote=promote, seed=seed)
                true = [truth[arch] for arch in archs]
                regrets.append(float(100 * np.mean(np.array(best) - true)))
                falls += [slow < fast for fast, slow in pairwise(true)]
            error = standard_error(regrets)
            result = {
                "search": name,
                "networks": count,
                "steps": steps,
                "seeds": arguments.seeds,
                "regret_points": round(float(np.mean(regrets)), 3),
                "stderr": None if error is None else round(error, 3),
            }
            if falls:
                result["falls"] = round(float(np.mean(falls)), 3)
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
