"""How few evaluations a sampler needs: the real search, with a table of truth as its evaluator.

NAS-Bench-Macro is complete and looked up. Of Accel-NASBench a sample is known, and boosted trees
fitted on it (scikit-learn's, of another kind than the sampler's own surrogate) answer for all of
its space; their best network under the ceiling is found by climbing from many starts. Latency is
multiply-adds, a million a millisecond. A search that misses the best network counts 300. Seconds
are of this process's CPU, all but the evaluation: other programs do not move them.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor

from bneck.cli import exit_code_of, positive, whole_from_zero, whole_number
from bneck.errors import UsageError
from bneck.executors.serial import Serial
from bneck.proxies.surrogate import features
from bneck.proxies.surrogate.table import Table, load
from bneck.quantities import Latency, standard_error
from bneck.search.objectives import Objectives, Target
from bneck.search.search import search
from bneck.search.study import Study
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.space.cost import cost

MISS = 300
CLIMBS = 30


class MacsDevice:
    """A million multiply-adds a millisecond."""

    def predict(self, arch: Architecture) -> Latency:
        """Exact."""
        return Latency(cost(arch).macs / 1e6, 0.0)


def accuracy_alone(accuracy: float, latency_ms: float) -> float:
    """The reward: under the ceiling, the most accurate network wins."""
    return accuracy


class Trees:
    """Accuracies of all of a space, learnt from those of a sample."""

    def __init__(self, table: Table) -> None:
        known = list(table.accuracies)
        self._shape = features.Shape.of(known)
        self._model = GradientBoostingRegressor(
            n_estimators=600, max_depth=4, learning_rate=0.05, subsample=0.5, random_state=0
        )
        self._model.fit(self._columns(known), list(table.accuracies.values()))

    def __call__(self, arch: Architecture) -> float:
        """From 0 to 1."""
        return float(self._model.predict(self._columns([arch]))[0])

    def _columns(self, archs: list[Architecture]) -> np.ndarray:
        columns = features.groups(archs, self._shape)
        return np.concatenate([columns[name] for name in ("stage size", "stage kind", "cost")], 1)


@dataclass(frozen=True)
class Problem:
    """What is searched, and the accuracies of its ten best networks, or of the best one known."""

    space: Space
    evaluate: Callable[[Architecture], float]
    ceiling_ms: float
    top: list[float]


def problem_of(path: Path, ceiling_macs_m: float | None) -> Problem:
    """The problem that a published table poses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one network of Accel-NASBench's sample was trained twice
        table = load(path)
    space = table.space
    if space is None:
        raise UsageError(f"{path} names no space that could be searched")
    ceiling_ms = ceiling_macs_m or inf
    if len(table.accuracies) == space.size:
        allowed = [
            accuracy
            for arch, accuracy in table.accuracies.items()
            if cost(arch).macs / 1e6 <= ceiling_ms
        ]
        return Problem(space, table.accuracies.__getitem__, ceiling_ms, sorted(allowed)[-10:])
    trees = Trees(table)
    return Problem(space, trees, ceiling_ms, [climbed(space, trees, ceiling_ms)])


def climbed(space: Space, evaluate: Callable[[Architecture], float], ceiling_ms: float) -> float:
    """The best accuracy under the ceiling that single and double changes lead to."""
    best = 0.0
    for seed in range(CLIMBS):
        values, here = space.sample(seed), 0.0
        stuck = 0
        while stuck < 300:
            changed = space.mutate(values, 1_000_000 * seed + stuck)
            if stuck % 2:
                changed = space.mutate(changed, stuck)
            arch = space.decode(changed)
            stuck += 1
            if cost(arch).macs / 1e6 <= ceiling_ms and (there := evaluate(arch)) > here:
                values, here, stuck = changed, there, 0
        best = max(best, here)
    return best


@dataclass(frozen=True)
class Course:
    """One search: the best accuracy after each evaluation, and CPU seconds for each proposal."""

    best: list[float]
    seconds_per_proposal: float

    def evaluations_to(self, accuracy: float) -> int | None:
        """How many it took to be as good."""
        return next((n for n, best in enumerate(self.best, 1) if best >= accuracy), None)

    def after(self, evaluations: int) -> float:
        """The best of the first so many."""
        return self.best[min(evaluations, len(self.best)) - 1]


def course(problem: Problem, sampler: str, evaluations: int, seed: int, parallel: int) -> Course:
    """Run one search."""
    evaluating = 0.0

    def evaluate(arch: Architecture) -> float:
        nonlocal evaluating
        begun = time.process_time()
        accuracy = problem.evaluate(arch)
        evaluating += time.process_time() - begun
        return accuracy

    target = Target(accuracy_alone, ceiling_ms=problem.ceiling_ms)
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.log"
        study = Study(journal, problem.space, sampler=sampler, seed=seed, parallel=parallel)
        begun = time.process_time()
        records = search(
            study,
            evaluate,
            objectives=Objectives(problem.space, MacsDevice(), [target]),  # type: ignore[arg-type]
            evaluations=evaluations,
            executor=Serial(),
        )
        seconds = time.process_time() - begun - evaluating
    best = list(np.maximum.accumulate([record.accuracy or 0.0 for record in records]))
    return Course(best, seconds / len(records))


def summary(problem: Problem, sampler: str, courses: list[Course]) -> dict[str, object]:
    """The figures of all seeds."""
    to_best = [one.evaluations_to(problem.top[-1]) for one in courses]
    to_top10 = [one.evaluations_to(problem.top[0]) for one in courses]
    at = {n: [100 * one.after(n) for one in courses] for n in (50, 100)}
    mean = {n: statistics.fmean(best) for n, best in at.items()}
    spread = {n: standard_error(best) for n, best in at.items()}
    return {
        "sampler": sampler,
        "seeds": len(courses),
        "to_best_mean": statistics.fmean(n or MISS for n in to_best),
        "to_best_found": sum(n is not None for n in to_best),
        "to_top10_mean": statistics.fmean(n or MISS for n in to_top10),
        "best_at_50": round(mean[50], 4),
        "best_at_100": round(mean[100], 4),
        "regret_at_50": round(100 * problem.top[-1] - mean[50], 4),
        "regret_at_100": round(100 * problem.top[-1] - mean[100], 4),
        "stderr_at_50": spread[50] and round(spread[50], 4),
        "stderr_at_100": spread[100] and round(spread[100], 4),
        "seconds_per_proposal": round(
            statistics.fmean(one.seconds_per_proposal for one in courses), 4
        ),
        "to_best": to_best,
    }


def main() -> None:
    """Search with every seed and print the figures, one line of JSON a sampler."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--sampler", nargs="+", default=["surrogate"])
    parser.add_argument("--evaluations", type=whole_number, default=100)
    parser.add_argument("--seeds", type=whole_number, default=20)
    parser.add_argument("--first-seed", type=whole_from_zero, default=0)
    parser.add_argument("--parallel", type=whole_number, default=1)
    parser.add_argument("--ceiling", type=positive, metavar="MILLION_MACS")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    problem = problem_of(arguments.table, arguments.ceiling)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for sampler in arguments.sampler:
        courses = [
            course(problem, sampler, arguments.evaluations, seed, arguments.parallel)
            for seed in seeds
        ]
        result = summary(problem, sampler, courses)
        if arguments.json:
            print(json.dumps(result), flush=True)
        else:
            print("\n".join(f"{name:22}{value}" for name, value in result.items()), flush=True)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
