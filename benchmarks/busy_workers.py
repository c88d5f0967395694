"""How busy a search keeps simulated workers: threads that sleep instead of training.

Everything but the training is real: search, study, journal and the executors' pool. Lengths are
lognormal, and the search's estimates of them are off by a lognormal error of their own. What is
printed is the share of the workers' time that was spent in evaluations from the first proposal
until the last evaluation started, and where the rest went: the start (first proposals one after
the other), and later waits. ``--batch`` is not an option: compare with version 0.1.
"""

import argparse
import json
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from math import exp, inf
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from bneck.executors.pool import Pool, attempt
from bneck.quantities import Latency
from bneck.search import study as study_module
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import Study
from bneck.space import codec, spaces
from bneck.space.architecture import Architecture
from bneck.space.cost import cost


class MacsDevice:
    """A million multiply-adds a millisecond."""

    def predict(self, arch: Architecture) -> Latency:
        """Exact."""
        return Latency(cost(arch).macs / 1e6, 0.0)


def lognormal(arch: Architecture, sigma: float, salt: str) -> float:
    """A number of mean 1 that hangs on the network alone."""
    return exp(sigma * Random(f"{codec.key(arch)} {salt}").gauss(0.0, 1.0) - sigma**2 / 2)


class Sleeps:
    """An evaluation of a given length; notes when each one began and ended."""

    def __init__(self, seconds: Callable[[Architecture], float]) -> None:
        self._seconds = seconds
        self.spans: list[tuple[float, float]] = []

    def __call__(self, arch: Architecture) -> float:
        """Some accuracy that rises with the parameters."""
        begun = time.monotonic()
        time.sleep(self._seconds(arch))
        self.spans.append((begun, time.monotonic()))
        return 1 - 1 / (1 + cost(arch).params / 1e6)


class SleepingWorker:
    """A worker that is a thread of this process."""

    def __init__(self, kind: "SleepingWorkers") -> None:
        self._kind = kind
        self._given: queue.SimpleQueue[tuple[Any, Any] | None] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.answers.put(None)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while (job := self._given.get()) is not None:
            answer = attempt(*job)
            with self._kind.answered:
                self.answers.put(answer)
                self._kind.answered.notify_all()

    def give(self, task: Callable[[Any], Any], item: Any) -> None:
        """Hand over one item."""
        self._given.put((task, item))

    def answer(self) -> Any:
        """What came of it."""
        return self.answers.get()

    def kill(self) -> None:
        """End after the item at hand."""
        self._given.put(None)


class SleepingWorkers:
    """As many as were asked for."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self.answered = threading.Condition()

    def start(self) -> SleepingWorker:
        """One more."""
        return SleepingWorker(self)

    def wait(
        self, workers: Sequence[SleepingWorker], seconds: float | None
    ) -> Sequence[SleepingWorker]:
        """Those that have answered."""
        with self.answered:
            deadline = inf if seconds is None else time.monotonic() + seconds
            while not (found := [one for one in workers if not one.answers.empty()]):
                left = deadline - time.monotonic()
                if left <= 0:
                    return []
                self.answered.wait(None if left == inf else left)
            return found

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

    sleeps = Sleeps(lambda arch: arguments.mean * length(arch))
    parallel = arguments.parallel or 2 * arguments.workers
    pool = Pool(SleepingWorkers(arguments.workers), arguments.workers)
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(study_module, "training_length", estimated),
    ):
        study = Study(
            Path(folder) / "journal.log",
            space,
            sampler=arguments.sampler,
            seed=0,
            parallel=None if arguments.eager else parallel,
        )
        begun, cpu = time.monotonic(), time.process_time()
        search(
            study,
            sleeps,
            objectives=Objectives(space, device, [target]),  # type: ignore[arg-type]
            evaluations=arguments.evaluations,
            executor=pool,
        )
        cpu = time.process_time() - cpu
    pool.close()
    spans = sorted(sleeps.spans)
    last_start = spans[-1][0]
    spent = sum(min(end, last_start) - start for start, end in spans)
    capacity = arguments.workers * (last_start - begun)
    first = [start - begun for start, _ in spans[: arguments.workers]]
    return {
        "sampler": arguments.sampler,
        "workers": arguments.workers,
        "parallel": None if arguments.eager else parallel,
        "lengths": f"lognormal, mean {arguments.mean:g} s, sigma {arguments.sigma:g}, "
        f"estimates off by {arguments.error:.0%}",
        "evaluations": arguments.evaluations,
        "busy_percent": round(100 * spent / capacity, 1),
        "idle_at_the_start_percent": round(100 * sum(first) / capacity, 1),
        "idle_later_percent": round(100 * (1 - (spent + sum(first)) / capacity), 1),
        "driver_cpu_ms_per_evaluation": round(1000 * cpu / arguments.evaluations, 1),
        "seconds": round(time.monotonic() - begun, 1),
    }


def main() -> None:
    """Print the figures of one search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sampler", default="surrogate")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--parallel", type=int, help="virtual workers; twice the workers")
    parser.add_argument("--evaluations", type=int, default=1024)
    parser.add_argument("--mean", type=float, default=10.0, help="seconds of an evaluation")
    parser.add_argument("--sigma", type=float, default=1.0, help="of the logarithm of the lengths")
    parser.add_argument("--error", type=float, default=0.3, help="of the estimated lengths")
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    result = busy(arguments)
    if arguments.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:30}{value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
