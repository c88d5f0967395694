"""How well the surrogate ranks networks that it never saw, from 20, 50 and 100 labels.

Each repeat draws labels at random from a table and predicts all others: Spearman's correlation in
band (``bneck.proxies.surrogate.correlation``) and overall, and the share within two standard
deviations. Medians over the repeats, with the 95 % interval of the median's bootstrap.
"""

import argparse
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from bneck.cli import exit_code_of, whole_from_zero, whole_number
from bneck.proxies.surrogate import features
from bneck.proxies.surrogate.correlation import bootstrap, in_band, spearman
from bneck.proxies.surrogate.surrogate import Surrogate
from bneck.proxies.surrogate.table import load


def repeats(path: Path, labels: int, seeds: range) -> dict[str, object]:
    """The figures of one table and one number of labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one network of Accel-NASBench's sample was trained twice
        table = load(path)
    archs, truth = list(table.accuracies), np.array(list(table.accuracies.values()))
    macs = features.macs(archs)
    found: dict[str, list[float]] = {"in_band": [], "spearman": [], "within_2_std": []}
    seconds = []
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(archs))
        known, rest = order[:labels], order[labels:]
        begun = time.process_time()
        surrogate = Surrogate([archs[i] for i in known], truth[known])
        seconds.append(time.process_time() - begun)
        mean, std = surrogate.predict([archs[i] for i in rest])
        found["in_band"].append(in_band(mean, truth[rest], macs[rest]))
        found["spearman"].append(spearman(mean, truth[rest]))
        found["within_2_std"].append(float(np.mean(np.abs(mean - truth[rest]) <= 2 * std)))
    medians = {name: bootstrap(np.median, values, seed=0) for name, values in found.items()}
    return {
        "table": path.name,
        "labels": labels,
        "repeats": len(seeds),
        **{
            name: [round(float(number), 4) for number in (m.value, m.low, m.high)]
            for name, m in medians.items()
        },
        "fit_cpu_seconds": round(float(np.median(seconds)), 3),
    }


def main() -> None:
    """Print one line a table and number of labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, nargs="+", required=True)
    parser.add_argument("--labels", type=whole_number, nargs="+", default=[20, 50, 100])
    parser.add_argument("--repeats", type=whole_number, default=20)
    parser.add_argument("--first-seed", type=whole_from_zero, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    seeds = range(arguments.first_seed, arguments.first_seed + arguments.repeats)
    for path in arguments.table:
        for labels in arguments.labels:
            result = repeats(path, labels, seeds)
            if arguments.json:
                print(json.dumps(result), flush=True)
            else:
                shown = ", ".join(f"{name} {value}" for name, value in result.items())
                print(shown, flush=True)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
