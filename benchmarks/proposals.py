"""What a proposal costs in a study that has many trials already, and the memory that they take.

The study is filled with random networks of a space; then the real search goes on for some
evaluations that cost nothing. Seconds are of this process's CPU.
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from math import exp, log
from pathlib import Path

from bneck.cli import exit_code_of, whole_number
from bneck.executors.serial import Serial
from bneck.latency.model import LatencyModel, load
from bneck.search.journal import Journal, State
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import Study
from bneck.space import spaces
from bneck.space.architecture import Architecture
from bneck.space.choices import Space, Values
from bneck.space.cost import cost


def accuracy(arch: Architecture) -> float:
    """Some accuracy that more parameters and more multiply-adds raise."""
    counted = cost(arch)
    return 1 / (1 + exp(6.0 - 0.3 * log(counted.params) - 0.2 * log(counted.macs)))


def filled(path: Path, space: Space, model: LatencyModel, past: int) -> None:
    """Write a study of so many random networks, all different."""
    journal = Journal(path, space, directions=["maximize"])
    networks: dict[Architecture, Values] = {}
    seed = 0
    while len(networks) < past:
        values = space.sample(seed)
        networks.setdefault(space.decode(values), values)
        seed += 1
    for number, (arch, values) in enumerate(networks.items()):
        latency = {"latency_ms": model.predict(arch).ms}
        journal.propose(values, user_attrs=latency, system_attrs={})
        found = accuracy(arch)
        result = {"seconds": 0.0, "accuracy": found}
        journal.finish(number, State.COMPLETE, [found], result)


def main() -> None:
    """Fill a study, go on with it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=Path, required=True, help="what `bneck calibrate` wrote")
    parser.add_argument("--space", default="v3-small")
    parser.add_argument("--sampler", default="surrogate")
    parser.add_argument("--past", type=whole_number, default=1000)
    parser.add_argument("--proposals", type=whole_number, default=50)
    parser.add_argument("--parallel", type=whole_number, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    model = load(arguments.latency)
    space = spaces.build(arguments.space, resolution_px=model.resolution_px, classes=10)
    middle_ms = statistics.median(
        model.predict(space.decode(space.sample(i))).ms for i in range(99)
    )
    told: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.log"
        filled(journal, space, model, arguments.past)
        size = journal.stat().st_size
        begun = time.process_time()
        study = Study(
            journal, space, sampler=arguments.sampler, seed=0, parallel=arguments.parallel
        )
        opened = time.process_time() - begun
        search(
            study,
            accuracy,
            objectives=Objectives(
                space, model, [Target(Soft(middle_ms), ceiling_ms=middle_ms)], confidence=0.9
            ),
            evaluations=arguments.past + 1 + arguments.proposals,
            executor=Serial(),
            progress=lambda *news: told.append(time.process_time()),
        )
    # The first one reads all the trials, as it does once in a session.
    seconds = [after - before for before, after in pairwise(told)]
    result = {
        "space": space.name,
        "sampler": arguments.sampler,
        "past": arguments.past,
        "seconds_per_proposal": round(statistics.fmean(seconds), 4),
        "median_seconds": round(statistics.median(seconds), 4),
        "most_seconds": round(max(seconds), 4),
        "opening_seconds": round(opened, 1),
        "journal_kb_per_trial": round(size / arguments.past / 1000, 2),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:22}{value}" for name, value in result.items()))


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
