"""Times the networks of this folder with ONNX Runtime and writes measurements.json.

    python measure.py [--minutes 12] [--threads 1]

Needs Python 3.9 or later, numpy and onnxruntime, nothing else. It can be stopped at any time;
started again, it goes on. Then, where bneck is installed:

    bneck calibrate --from measurements.json --out latency.json
"""

import argparse
import json
import math
import os
import platform
import statistics
import sys
import time
from typing import Any, Callable, Dict, List

import numpy
import onnxruntime

# Written for Python 3.9, whatever the rest of bneck asks for.
# ruff: noqa: UP006, UP035
Run = Callable[[], object]
Clock = Callable[[], int]

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.join(HERE, "measurements.json")
CHUNK_NS = 15_000_000
MIN_RUNS, MAX_RUNS, DROPPED = 5, 60, 2
REFERENCE_SERVES = 10
FEW_PAIRS, MANY_PAIRS, WANTED = 4, 8, 0.01


def main() -> None:
    """Time what is still missing until the minutes are over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=12.0, help="default 12")
    parser.add_argument("--threads", type=int, default=1, help="default 1")
    options = parser.parse_args()
    if options.minutes <= 0 or options.threads < 1:
        parser.error("--minutes must be above 0 and --threads at least 1")
    with open(os.path.join(HERE, "kit.json"), encoding="utf-8") as file:
        kit = json.load(file)
    device = fingerprint(options.threads)
    result = begun(kit, device)
    done = {item["name"] for item in result["items"]}
    until = time.monotonic() + 60 * options.minutes
    missing = [entry for entry in kit["networks"] if entry["name"] not in done]
    for number, entry in enumerate(missing):
        if number % REFERENCE_SERVES == 0:
            reference = prepare("reference.onnx", options.threads)
        if number and time.monotonic() >= until:
            break
        start = time.monotonic()
        timing = compare(prepare(entry["file"], options.threads), reference, clock(options.threads))
        timing["seconds"] = time.monotonic() - start
        result["items"].append(dict(name=entry["name"], arch=entry["arch"], **timing))
        write(result)
        print(
            f"{len(result['items'])} of {len(kit['networks'])}: {entry['name']} takes "
            f"{timing['ratio']:.3f} x the reference",
            file=sys.stderr,
        )
    print(f"{TARGET}: {len(result['items'])} networks")


def fingerprint(threads: int) -> Dict[str, Any]:
    """The device as bneck names it."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count() or 1,
        "runtime": "onnxruntime",
        "version": onnxruntime.__version__,
        "threads": threads,
    }


def cpu_name() -> str:
    """The CPU's name as the system gives it, or its architecture where it gives none."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        lines = []
    for field in ("model name", "Model", "Hardware"):
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == field and value.strip():
                return value.strip()
    return platform.processor() or platform.machine() or "unknown CPU"


def begun(kit: Dict[str, Any], device: Dict[str, Any]) -> Dict[str, Any]:
    """What an earlier run of this kit on this device measured, or an empty result."""
    fresh = {"format": kit["format"], "device": device, "kit": kit["kit"], "items": []}
    try:
        with open(TARGET, encoding="utf-8") as file:
            old = json.load(file)
    except FileNotFoundError:
        return fresh
    except ValueError:
        sys.exit(f"{TARGET} is damaged: move it away")
    if old.get("device") != device or old.get("kit") != kit["kit"]:
        sys.exit(f"{TARGET} was measured with another kit, device or thread count")
    return dict(old)


def write(result: Dict[str, Any]) -> None:
    """Replace measurements.json in one step."""
    temporary = TARGET + ".new"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(result, file)
    os.replace(temporary, TARGET)


def prepare(name: str, threads: int) -> Run:
    """A call that runs one image through the network in that file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    path = os.path.join(HERE, "networks", name)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    image = numpy.random.default_rng(0).standard_normal(shape, numpy.float32)
    feed = {session.get_inputs()[0].name: image}
    return lambda: session.run(None, feed)


def clock(threads: int) -> Clock:
    """CPU time of the one thread, which other programs do not move, or the wall's time."""
    if threads == 1 and time.get_clock_info("thread_time").resolution <= 1e-6:
        return time.thread_time_ns
    return time.perf_counter_ns


def compare(run: Run, reference: Run, now: Clock) -> Dict[str, Any]:
    """Ratio of two calls, from warm chunks that take turns."""
    begun, begun_on_cpu = time.perf_counter_ns(), time.process_time_ns()
    runs, reference_runs = chunk_runs(run, now), chunk_runs(reference, now)
    references = [chunk(reference, reference_runs, now)]
    ratios: List[float] = []
    while True:
        own = chunk(run, runs, now)
        references.append(chunk(reference, reference_runs, now))
        ratios.append(2 * own / (references[-2] + references[-1]))
        spread = standard_error(ratios)
        enough = len(ratios) >= FEW_PAIRS and spread <= WANTED
        if enough or len(ratios) >= MANY_PAIRS:
            break
    middle = statistics.median(references)
    on_cpu = time.process_time_ns() - begun_on_cpu
    return {
        "ratio": statistics.median(ratios),
        "spread": spread,
        "reference_ms": middle / 1e6,
        "reference_spread": deviation(references) / middle,
        "pairs": len(ratios),
        "quiet": spread <= WANTED,
        "core_share": min(1.0, on_cpu / (time.perf_counter_ns() - begun)),
    }


def chunk_runs(run: Run, now: Clock) -> int:
    """How many runs make a chunk."""
    return min(MAX_RUNS, max(MIN_RUNS, round(CHUNK_NS / chunk(run, MIN_RUNS, now))))


def chunk(run: Run, runs: int, now: Clock) -> float:
    """Median nanoseconds of warm runs."""
    for _ in range(DROPPED):
        run()
    times: List[float] = []
    for _ in range(runs):
        start = now()
        run()
        times.append(now() - start)
    return max(1.0, statistics.median(times))


def standard_error(ratios: List[float]) -> float:
    """Relative standard error of their median."""
    return 1.2533 * deviation(ratios) / statistics.median(ratios) / math.sqrt(len(ratios))


def deviation(values: List[float]) -> float:
    """Standard deviation, from the median absolute one."""
    middle = statistics.median(values)
    return float(1.4826 * statistics.median([abs(value - middle) for value in values]))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped; started again, it goes on")
