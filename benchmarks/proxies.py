"""What the zero-cost proxies cost: seconds a network for all of them together, and memory.

Random networks of NAS-Bench-Macro at 32 px, one thread. Seconds are of CPU time, to which other
work on the machine matters less. The images are scikit-learn's digits, whose content does not
matter here. Memory is this process's peak, of which torch's own import is shown.
"""

import argparse
import json
import resource
import statistics
import sys
import time

import torch

from bneck.cli import exit_code_of, whole_from_zero, whole_number
from bneck.proxies.data.loading import load
from bneck.proxies.proxy import PROXIES, find_proxy
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.zero_cost.base import ZeroCost
from bneck.proxies.zero_cost.passes import Passes
from bneck.space import spaces
from bneck.space.cost import cost


def peak_megabytes() -> int:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Print seconds (median, mean, range) and megabytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=whole_number, default=30)
    parser.add_argument("--seed", type=whole_from_zero, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    images = load("digits", resolution_px=32)
    kinds = {word: find_proxy(word) for word in PROXIES}
    made = {word: kind(images, Recipe(1)) for word, kind in kinds.items()}
    proxies = {word: proxy for word, proxy in made.items() if isinstance(proxy, ZeroCost)}
    space = spaces.build("nas-bench-macro", resolution_px=32, classes=10)
    before = peak_megabytes()
    seconds, macs = [], []
    for number in range(arguments.networks + 1):
        arch = space.decode(space.sample(arguments.seed * 10_000 + number))
        began = time.process_time()
        passes = Passes(arch, images, seed=arguments.seed)
        for proxy in proxies.values():
            proxy.read(passes)
        seconds.append(time.process_time() - began)
        macs.append(cost(arch).macs)
    seconds, macs = seconds[1:], macs[1:]  # the first network warms up
    result = {
        "proxies": list(proxies),
        "networks": arguments.networks,
        "macs_mean": round(statistics.fmean(macs)),
        "seconds_median": round(statistics.median(seconds), 3),
        "seconds_mean": round(statistics.fmean(seconds), 3),
        "seconds_range": [round(min(seconds), 3), round(max(seconds), 3)],
        "peak_mb": peak_megabytes(),
        "peak_mb_before": before,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print(
            f"{len(proxies)} proxies on {arguments.networks} networks: median "
            f"{result['seconds_median']} s, mean {result['seconds_mean']} s a network "
            f"({min(seconds):.2f} to {max(seconds):.2f}); peak {result['peak_mb']} MB, of which "
            f"{before} MB before the first network"
        )


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
