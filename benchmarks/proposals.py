"""What a proposal costs in a study that has many trials already, and the memory that they take.

The study is filled with random networks of a space; then the real search goes on for some
evaluations that cost nothing. Seconds are of this process's CPU.
"""

import argparse
import json
import resource
import statistics
import tempfile
import time
from itertools import pairwise
from math import log
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.storages import JournalStorage

from bneck.executors.serial import Serial
from bneck.latency.model import LatencyModel, load
from bneck.proxies.surrogate.surrogate import expit
from bneck.search.journal import Journal
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import STUDY, Study
from bneck.space import spaces
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.space.cost import cost


def accuracy(arch: Architecture) -> float:
    """Some accuracy that more parameters and more multiply-adds raise."""
    counted = cost(arch)
    return float(expit(0.3 * log(counted.params) + 0.2 * log(counted.macs) - 6.0))


def filled(journal: Path, space: Space, model: LatencyModel, past: int) -> None:
    """A study of so many random networks, all different."""
    kept = Journal(journal)
    study = optuna.create_study(
        storage=JournalStorage(kept), study_name=STUDY, direction="maximize"
    )
    networks: dict[Architecture, dict[str, int | bool | str]] = {}
    seed = 0
    while len(networks) < past:
        values = space.sample(seed)
        networks.setdefault(space.decode(values), values)
        seed += 1
    for arch, values in networks.items():
        told = {"accuracy": accuracy(arch), "latency_ms": model.predict(arch).ms}
        rest = {"error": None, "seconds": 0.0, "made_with": {}}
        study.add_trial(
            optuna.create_trial(
                params=values,
                distributions={
                    name: CategoricalDistribution(space.choices[name]) for name in values
                },
                value=told["accuracy"],
                user_attrs=told | rest,
            )
        )
    kept.flush()


def main() -> None:
    """Fill a study, go on with it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=Path, required=True, help="what `bneck calibrate` wrote")
    parser.add_argument("--space", default="v3-small")
    parser.add_argument("--sampler", default="surrogate")
    parser.add_argument("--past", type=int, default=1000)
    parser.add_argument("--proposals", type=int, default=50)
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
        begun = time.process_time()
        study = Study(journal, space, sampler=arguments.sampler, seed=0)
        opened = time.process_time() - begun
        search(
            study,
            accuracy,
            objectives=Objectives(
                space, model, [Target(Soft(middle_ms), ceiling_ms=middle_ms)], confidence=0.9
            ),
            evaluations=arguments.past + 1 + arguments.proposals,
            batch=1,
            executor=Serial(),
            progress=lambda *news: told.append(time.process_time()),
        )
    # The first one reads all the trials, as it does once in a sitting.
    seconds = [after - before for before, after in pairwise(told)]
    result = {
        "space": space.name,
        "sampler": arguments.sampler,
        "past": arguments.past,
        "seconds_per_proposal": round(statistics.fmean(seconds), 4),
        "median_seconds": round(statistics.median(seconds), 4),
        "most_seconds": round(max(seconds), 4),
        "opening_seconds": round(opened, 1),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:22}{value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
