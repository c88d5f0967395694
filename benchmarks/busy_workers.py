"""How busy a search keeps the workers of a simulated cluster.

Search, study, journal and the executors' pool are the real ones; evaluations take simulated time.
The clock counts this process's CPU time, which is what proposals and records cost the driver, and
skips the waits, so other programs do not move the figures (nor do waits for the disk: one a
result). Lengths are lognormal, and the search's estimates of them have a lognormal error of their
own. What is printed is the share of the workers' time that was spent in evaluations, from the
search's start until the last evaluation began, and where the rest went: before each worker's first
evaluation, and later.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from math import exp
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from bneck.cli import exit_code_of, from_zero, positive, whole_number
from bneck.executors.pool import WorkerPool
from bneck.executors.worker import attempt
from bneck.quantities import Latency
from bneck.search import trial_order
from bneck.search.objectives import Objectives, Target
from bneck.search.promotion import Candidate
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import Study
from bneck.space import codec, spaces
from bneck.space.architecture import Architecture
from bneck.space.cost import cost
from bneck.units import as_percent


class MacsDevice:
    """A million multiply-adds a millisecond."""

    def predict(self, arch: Architecture) -> Latency:
        """Exact."""
        return Latency(cost(arch).macs / 1e6, 0.0)


def accuracy(arch: Architecture) -> float:
    """Some accuracy that rises with the parameters."""
    return 1 - 1 / (1 + cost(arch).params / 1e6)


def lognormal(arch: Architecture, sigma: float, salt: str) -> float:
    """A number of mean 1 that hangs on the network alone."""
    return exp(sigma * Random(f"{codec.key(arch)} {salt}").gauss(0.0, 1.0) - sigma**2 / 2)


class Clock:
    """Seconds of this process's CPU, plus the waits that were skipped."""

    def __init__(self) -> None:
        self._begun = time.process_time()
        self._skipped = 0.0

    def now(self) -> float:
        """Seconds since the clock was made."""
        return time.process_time() - self._begun + self._skipped

    def skip_to(self, seconds: float) -> None:
        """Wait without waiting."""
        self._skipped += max(0.0, seconds - self.now())


class SimulatedWorker:
    """A worker whose evaluation ends after the given length."""

    def __init__(self, kind: "SimulatedWorkers") -> None:
        self._kind = kind
        self._answer: Any = None
        self.end = kind.clock.now()

    def give(self, task: Callable[[Any], Any], item: Any) -> None:
        """Take one item."""
        begun = self._kind.clock.now()
        self._answer = attempt(task, item)
        if isinstance(item, Candidate):
            self.end = begun + self._kind.length(item.arch)
            self._kind.spans.append((begun, self.end))

    def answer(self) -> Any:
        """What came of it."""
        return self._answer

    def is_running(self) -> bool:
        """It starts at once."""
        return True

    def kill(self) -> None:
        """Nothing runs."""


class SimulatedWorkers:
    """As many as were asked for; ``spans`` holds when each evaluation began and ended."""

    def __init__(self, workers: int, length: Callable[[Architecture], float]) -> None:
        self._workers, self.length = workers, length
        self.clock = Clock()
        self.spans: list[tuple[float, float]] = []

    def start(self) -> SimulatedWorker:
        """One more, at once."""
        return SimulatedWorker(self)

    def wait(
        self, workers: Sequence[SimulatedWorker], seconds: float | None
    ) -> Sequence[SimulatedWorker]:
        """Those that have ended by now, or the next one after a wait."""
        if seconds != 0.0:
            self.clock.skip_to(min(worker.end for worker in workers))
        now = self.clock.now()
        return [worker for worker in workers if worker.end <= now]

    def room(self, wanted: int) -> int:
        """All of them."""
        return self._workers

    def close(self) -> None:
        """Nothing is left open."""


def busy(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one search and return its figures."""
    space = spaces.build("v3-small", resolution_px=32, classes=10)
    device = MacsDevice()
    target = Target(Soft(1.2), 1.2, 1.5, 1.2)

    def length(arch: Architecture) -> float:
        return lognormal(arch, arguments.sigma, "length")

    def estimated(arch: Architecture, layer_macs: int) -> float:
        return length(arch) * lognormal(arch, arguments.error, "error")

    parallel = arguments.parallel or 2 * arguments.workers
    workers = SimulatedWorkers(arguments.workers, lambda arch: arguments.mean * length(arch))
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(trial_order, "training_length", estimated),
    ):
        study = Study(
            Path(folder) / "journal.log",
            space,
            sampler=arguments.sampler,
            seed=0,
            parallel=None if arguments.eager else parallel,
        )
        begun, cpu = workers.clock.now(), time.process_time()
        search(
            study,
            accuracy,
            objectives=Objectives(space, device, [target]),  # type: ignore[arg-type]
            evaluations=arguments.evaluations,
            executor=WorkerPool(workers, arguments.workers),
        )
        cpu = time.process_time() - cpu
    spans = sorted(workers.spans)
    last_start = spans[-1][0]
    spent = sum(min(end, last_start) - start for start, end in spans)
    capacity = arguments.workers * (last_start - begun)
    first = [start - begun for start, _ in spans[: arguments.workers]]
    return {
        "sampler": arguments.sampler,
        "workers": arguments.workers,
        "parallel": None if arguments.eager else parallel,
        "lengths": f"lognormal, mean {arguments.mean:g} s, sigma {arguments.sigma:g}, "
        f"estimates off by {as_percent(arguments.error)}",
        "evaluations": arguments.evaluations,
        "busy_percent": round(100 * spent / capacity, 1),
        "idle_at_the_start_percent": round(100 * sum(first) / capacity, 1),
        "idle_later_percent": round(100 * (1 - (spent + sum(first)) / capacity), 1),
        "driver_cpu_ms_per_evaluation": round(1000 * cpu / arguments.evaluations, 1),
        "simulated_seconds": round(last_start - begun, 1),
    }


def main() -> None:
    """Print the figures of one search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sampler", default="surrogate")
    parser.add_argument("--workers", type=whole_number, default=64)
    parser.add_argument("--parallel", type=whole_number, help="virtual workers; twice the workers")
    parser.add_argument("--evaluations", type=whole_number, default=1024)
    parser.add_argument("--mean", type=positive, default=10.0, help="seconds of an evaluation")
    parser.add_argument(
        "--sigma", type=from_zero, default=1.0, help="of the logarithm of the lengths"
    )
    parser.add_argument("--error", type=from_zero, default=0.3, help="of the estimated lengths")
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    result = busy(arguments)
    if arguments.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:30}{value}" for name, value in result.items()))


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
