"""A whole search over networks that cost nothing to evaluate, to be run, broken and killed.

``python -m tests.search.driver FOLDER SAMPLER WORKERS EVALUATIONS`` runs one by itself.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from pathlib import Path

from bneck.errors import ProxyFailed
from bneck.executors import Executor, open_executor
from bneck.progress import Progress, silent
from bneck.results.record import Record
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import Study
from bneck.space import codec, spaces
from bneck.space.architecture import Architecture
from tests.closed_form import MacsDevice, accuracy

SPACE = spaces.build("v3-small", resolution_px=32, classes=10)
PARALLEL = 4
REASONS = {
    "raise": "ProxyFailed: the loss is nan at step 7",
    "nan": "the accuracy is nan, not a number from 0 to 1",
    "hang": "stopped at the time limit of 5 s",
}


def fault_of(arch: Architecture) -> str:
    """What is wrong with a network: every fourth has some fault."""
    faults = ("raise", "nan", "hang", "die", "die-once")
    number = int(codec.key(arch)[:8], 16) % (4 * len(faults))
    return faults[number] if number < len(faults) else "none"


def faulty(arch: Architecture) -> float:
    """Accuracy, but for what raises and what is not a number."""
    fault = fault_of(arch)
    if fault == "raise":
        raise ProxyFailed("the loss is nan at step 7")
    return nan if fault == "nan" else accuracy(arch)


@dataclass(frozen=True)
class Faulty:
    """Every fault there is; ``folder`` knows which network killed its worker already."""

    folder: Path

    def __call__(self, arch: Architecture) -> float:
        fault, mark = fault_of(arch), self.folder / codec.key(arch)
        if fault == "hang":
            time.sleep(600)
        if fault == "die" or (fault == "die-once" and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), 9)
        time.sleep(0.1)
        return faulty(arch)


@dataclass(frozen=True)
class Traced:
    """Accuracy after a moment; leaves a file for each evaluation, named by network and process."""

    folder: Path

    def __call__(self, arch: Architecture) -> float:
        (self.folder / f"{codec.key(arch)}.{os.getpid()}").touch()
        time.sleep(0.01)
        return accuracy(arch)


def run(
    folder: Path,
    evaluate: Callable[[Architecture], float],
    executor: Executor,
    *,
    evaluations: int,
    parallel: int = PARALLEL,
    sampler: str = "random",
    progress: Progress = silent,
) -> list[Record]:
    folder.mkdir(exist_ok=True)
    return search(
        Study(folder / "journal.log", SPACE, sampler=sampler, seed=0, parallel=parallel),
        evaluate,
        objectives=Objectives(SPACE, MacsDevice(), [Target(Soft(1.0), ceiling_ms=1.5)]),
        evaluations=evaluations,
        executor=executor,
        progress=progress,
    )


def main() -> None:
    folder, sampler, workers, evaluations = sys.argv[1:]
    traces = Path(folder) / "traces"
    traces.mkdir(parents=True, exist_ok=True)
    executor = open_executor(int(workers))
    run(Path(folder), Traced(traces), executor, evaluations=int(evaluations), sampler=sampler)
    executor.close()


if __name__ == "__main__":
    main()
