"""What Ray costs an evaluation, and how much faster two workers are than one.

Overhead: the time of evaluations that do nothing, after start-up. Speed-up: evaluations that sleep
two seconds, so that it says what the executor loses and not what the machine has. The search itself
is left out; ``benchmarks/search.py`` times its proposals.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import closing

from bneck.cli import exit_code_of, whole_number
from bneck.executors import Executor, open_executor

WORKERS = 2


def nothing(item: int) -> int:
    """An evaluation that costs nothing."""
    return item


def rest(item: int) -> int:
    """An evaluation that takes two seconds and no CPU."""
    time.sleep(2)
    return item


def seconds(executor: Executor, task: Callable[[int], int], items: int) -> float:
    """How long the items take."""
    began = time.perf_counter()
    results = dict(executor.map_unordered(task, range(items)))
    assert results == {item: item for item in range(items)}
    return time.perf_counter() - began


def measured(kind: str, evaluations: int, rests: int) -> dict[str, float]:
    """Start-up (with one rest), overhead of each evaluation, and time of all the rests."""
    began = time.perf_counter()
    ray = "local" if kind == "ray" else None
    with closing(open_executor(1 if kind == "serial" else WORKERS, ray=ray)) as executor:
        seconds(executor, rest, WORKERS)  # long enough for both workers to come up
        start_up_s = time.perf_counter() - began
        overhead_ms = 1000 * seconds(executor, nothing, evaluations) / evaluations
        rest_s = seconds(executor, rest, rests)
    return {
        "start_up_s": round(start_up_s, 1),
        "overhead_ms": round(overhead_ms, 2),
        "rest_s": round(rest_s, 2),
    }


def main() -> None:
    """Print the figures of each executor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=whole_number, default=200, help="that do nothing")
    parser.add_argument("--rests", type=whole_number, default=10, help="that sleep two seconds")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    result = {
        kind: measured(kind, arguments.evaluations, arguments.rests)
        for kind in ("serial", "processes", "ray")
    }
    for figures in result.values():
        figures["speed_up"] = round(result["serial"]["rest_s"] / figures["rest_s"], 2)
    if arguments.json:
        print(json.dumps(result))
        return
    for kind, figures in result.items():
        print(kind, ", ".join(f"{name} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
