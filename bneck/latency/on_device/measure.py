"""Times the networks of this folder and writes measurements.json.

    python measure.py [--minutes 12] [--threads 1]

Needs Python 3.9 or later, numpy and the runtime that kit.json names (onnxruntime or
ai-edge-litert), nothing else. It can be stopped at any time; started again, it resumes. Then,
where bneck is installed:

    bneck calibrate --from measurements.json --out latency.json
"""

import argparse
import json
import math
import os
import platform
import signal
import statistics
import sys
import time
import zlib
from importlib import metadata
from typing import Any, BinaryIO, Callable, Dict, List

# Written for Python 3.9, whatever the rest of bneck asks for.
# ruff: noqa: B905, UP006, UP035
Run = Callable[[], object]
Clock = Callable[[], int]

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.join(HERE, "measurements.json")
CHUNK_NS = 15_000_000
MIN_RUNS, MAX_RUNS, DROPPED = 5, 60, 2
REFERENCE_SERVES = 10
FINAL = "final"
"""What the name of a network begins with that is prepared several times, as its reference is."""
FEW_PAIRS, MANY_PAIRS, WANTED = 4, 8, 0.01
FEW_VALUES = {2: 1.196, 3: 1.495, 4: 1.363, 5: 1.206, 6: 1.2, 7: 1.14, 8: 1.129, 9: 1.107}
"""By how much the median absolute deviation of so many values is too small (Croux, Rousseeuw)."""
PACKAGES = {"onnxruntime": "onnxruntime", "litert": "ai-edge-litert"}
"""What has to be installed for a runtime, whose word may end in "-int8"."""
INPUTS = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
}
"""Numpy's name of what an input of an ONNX file takes."""
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as where bneck is installed


def main() -> None:
    """Time what is still missing until the minutes are over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=12.0, help="minutes to measure (12)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the runtime (1)")
    options = parser.parse_args()
    if not options.minutes > 0 or options.threads < 1:
        parser.error("--minutes must be above 0 and --threads at least 1")
    kit = read(os.path.join(HERE, "kit.json"), "format", "kit", "runtime", "networks")
    runtime = kit["runtime"]
    try:
        device = fingerprint(runtime, options.threads, kit.get("batch_size", 1))
    except ImportError as error:
        sys.exit(f"{error}; pip install numpy {package(runtime)}")
    result = begun(kit, device)
    done = {item["name"] for item in result["items"]}
    until = time.monotonic() + 60 * options.minutes
    missing = [entry for entry in kit["networks"] if entry["name"] not in done]
    for number, entry in enumerate(missing):
        if number % REFERENCE_SERVES == 0 or entry["name"].startswith(FINAL):
            reference = prepare("reference.z", runtime, options.threads)
        if number and time.monotonic() >= until:
            break
        start, before = time.monotonic(), busy()
        run = prepare(entry["file"], runtime, options.threads)
        timing = compare(run, reference, clock(options.threads))
        timing.update(seconds=time.monotonic() - start, load=load_since(before))
        result["items"].append(dict(name=entry["name"], arch=entry["arch"], **timing))
        write(result)
        print(
            f"{len(result['items'])} of {len(kit['networks'])}: {entry['name']} takes "
            f"{timing['ratio']:.3f} x the reference",
            file=sys.stderr,
        )
    count = len(result["items"])
    left = len(kit["networks"]) - count
    more = f"; {left} left, which the same command goes on with" if left else ""
    print(f"{TARGET}: {count} network{'s' * (count != 1)}{more}")


def serve(requests: BinaryIO) -> None:
    """Time what a driver sends over a connection; each answer is a line of JSON.

    A request is a line of JSON, and as many bytes of a compressed model as it says. Where it only
    looks, the answer is what keeps the device busy.
    """
    about = json.loads(requests.readline())
    runtime, threads = about["runtime"], about["threads"]
    try:
        answer(fingerprint(runtime, threads, about["batch_size"]))
    except ImportError as error:
        answer({"error": str(error), "missing": package(runtime)})
        return
    reference: Run = clock(threads)
    for line in iter(requests.readline, b""):
        request = json.loads(line)
        if "look" in request:
            answer({"load": busy()})
            continue
        model = zlib.decompress(requests.read(request["size"]))
        try:
            run = opened(model, runtime, threads)
            if request["reference"]:
                reference = run
                answer({})
            else:
                before = busy()
                found = compare(run, reference, clock(threads), request["pairs"], request["wanted"])
                load = [after - begun for after, begun in zip(busy(), before)]
                answer(dict(found, load=load))
        except Exception as error:
            answer({"error": str(error).split("\n")[0] or type(error).__name__})


def package(runtime: str) -> str:
    """Return what has to be installed for a runtime."""
    return PACKAGES[runtime.replace("-int8", "")]


def busy() -> List[float]:
    """Seconds: of the wall, that other programs used of all cores, and stolen from all cores."""
    fields = text_of("/proc/stat").split("\n", 1)[0].split()[1:9]
    if len(fields) < 8:
        return [time.monotonic(), 0.0, 0.0]
    tick = os.sysconf("SC_CLK_TCK")
    user, nice, system, _, _, irq, softirq, stolen = [int(field) / tick for field in fields]
    own = os.times()
    used = user + nice + system + irq + softirq - own.user - own.system
    return [time.monotonic(), used, stolen]


def load_since(before: List[float]) -> Dict[str, float]:
    """Cores that other programs used since ``busy`` answered so, and the share that was stolen."""
    seconds, used, stolen = [after - begun for after, begun in zip(busy(), before)]
    cores = os.cpu_count() or 1
    return {"other_cores": max(0.0, used) / seconds, "stolen": max(0.0, stolen) / seconds / cores}


def answer(content: Dict[str, Any]) -> None:
    """Send a line to the driver, on its own whatever a login script or a library printed before."""
    sys.stdout.write("\n" + json.dumps(content) + "\n")
    sys.stdout.flush()


def fingerprint(runtime: str, threads: int, batch_size: int) -> Dict[str, Any]:
    """The device as bneck names it.

    Args:
        runtime: its word, as in ``prepare``.
        threads: threads of the runtime.
        batch_size: images that one run takes, as the networks' inputs say.
    """
    if runtime.startswith("litert"):
        import ai_edge_litert.interpreter  # noqa: F401  (is it there?)

        version = metadata.version("ai-edge-litert")
    else:
        import onnxruntime

        version = onnxruntime.__version__
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count() or 1,
        "runtime": runtime,
        "version": version,
        "threads": threads,
        "batch_size": batch_size,
    }


def cpu_name() -> str:
    """Return the CPU's name as the system gives it, or its architecture where it gives none.

    ARM systems give numbers for the maker and the part of each kind of core: they are appended to
    the board's name, for boards of one name differ in them, and boards of one part in their name.
    """
    return cpu_of(text_of("/proc/cpuinfo"), text_of("/proc/device-tree/model")) or (
        platform.processor() or platform.machine() or "unknown CPU"
    )


def text_of(path: str) -> str:
    """Return what the system says in a file, or nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def cpu_of(cpuinfo: str, board: str) -> str:
    """Return the name that ``/proc/cpuinfo`` and the device tree give, or nothing."""
    found: Dict[str, List[str]] = {}
    for line in cpuinfo.splitlines():
        field, _, value = line.partition(":")
        if value.strip():
            found.setdefault(field.strip(), []).append(value.strip())
    parts = list(zip(found.get("CPU implementer", []), found.get("CPU part", [])))
    kinds = sorted({f"{maker}/{part}" for maker, part in parts})
    if not kinds and "model name" in found:
        return found["model name"][0]
    named = [board.strip("\0 \n"), *found.get("Model", []), *found.get("Hardware", [])]
    name = next((one for one in named if one), "")
    return f"{name or 'ARM'} ({', '.join(kinds)})" if kinds else name


def begun(kit: Dict[str, Any], device: Dict[str, Any]) -> Dict[str, Any]:
    """What an earlier run of this kit on this device measured, or an empty result."""
    fresh = {"format": kit["format"], "device": device, "kit": kit["kit"], "items": []}
    if not os.path.exists(TARGET):
        return fresh
    old = read(TARGET, "items", "device", "kit")
    about = old["device"] if isinstance(old["device"], dict) else {}
    was, now = {"kit": old["kit"], **about}, {"kit": kit["kit"], **device}
    other = [name for name in now if was.get(name) != now[name]]
    if other:
        said = "; ".join(f"{name} {was.get(name)}, not {now[name]}" for name in other)
        sys.exit(f"{TARGET} was measured with another kit, device or thread count: {said}")
    return old


def read(path: str, *keys: str) -> Dict[str, Any]:
    """Return what a file of this folder holds, at least under these keys."""
    try:
        with open(path, encoding="utf-8-sig") as file:  # an editor may have put a mark in front
            found = dict(json.load(file))
        if all(key in found for key in keys):
            return found
    except (TypeError, ValueError):
        pass
    sys.exit(f"{path} is damaged: copy it again, or move it away")


def write(result: Dict[str, Any]) -> None:
    """Replace measurements.json in one step."""
    temporary = TARGET + ".new"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(result, file)
        file.flush()
        os.fsync(file.fileno())  # a board may lose its power
    os.replace(temporary, TARGET)


def prepare(name: str, runtime: str, threads: int) -> Run:
    """A call that runs a batch of images through the network in that file.

    Args:
        name: of a compressed file in the folder "networks".
        runtime: its word: "onnxruntime" or "litert", perhaps with "-int8" behind.
        threads: threads of the runtime.
    """
    path = os.path.join(HERE, "networks", name)
    try:
        with open(path, "rb") as file:
            return opened(zlib.decompress(file.read()), runtime, threads)
    except zlib.error:
        sys.exit(f"{path} is damaged: copy the kit again")
    except OSError:
        raise
    except Exception as error:  # whatever a runtime raises, as of a version that is too old
        said = str(error).split("\n")[0] or type(error).__name__
        sys.exit(f"{package(runtime)} cannot run {path}: {said}")


def opened(model: bytes, runtime: str, threads: int) -> Run:
    """The same for a file's content.

    Args:
        model: the content, not compressed: ONNX, or TFLite for LiteRT.
        runtime: its word, as in ``prepare``.
        threads: threads of the runtime.
    """
    return (litert if runtime.startswith("litert") else onnx)(model, threads)


def onnx(model: bytes, threads: int) -> Run:
    """By ONNX Runtime."""
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {}
    for given in session.get_inputs():
        if given.type not in INPUTS:
            raise ValueError(f"input {given.name!r} is {given.type}; known: {', '.join(INPUTS)}")
        kind, draw = numpy.dtype(INPUTS[given.type]), numpy.random.default_rng(0)
        if kind.kind == "f":
            feed[given.name] = draw.standard_normal(given.shape, numpy.float32).astype(kind)
        else:
            least, most = numpy.iinfo(kind).min, numpy.iinfo(kind).max
            feed[given.name] = draw.integers(least, most, given.shape, kind, endpoint=True)
    return lambda: session.run(None, feed)


def litert(model: bytes, threads: int) -> Run:
    """By LiteRT."""
    import numpy
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    image = numpy.random.default_rng(0).standard_normal(given["shape"], numpy.float32)
    interpreter.set_tensor(given["index"], image)
    return lambda: interpreter.invoke()


def clock(threads: int) -> Clock:
    """CPU time of the one thread, which other programs do not move, or the wall's time."""
    if threads == 1 and time.get_clock_info("thread_time").resolution <= 1e-6:
        return time.thread_time_ns
    return time.perf_counter_ns


def compare(
    run: Run,
    reference: Run,
    now: Clock,
    pairs: Any = (FEW_PAIRS, MANY_PAIRS),
    wanted: float = WANTED,
) -> Dict[str, Any]:
    """Ratio of two calls, from warm chunks that take turns.

    Args:
        run: the call to time.
        reference: what it is divided by.
        now: the clock, in nanoseconds.
        pairs: fewest and most pairs of chunks.
        wanted: relative standard error of the ratio at which to stop.
    """
    begun, begun_on_cpu = time.perf_counter_ns(), time.process_time_ns()
    runs, reference_runs = chunk_runs(run, now), chunk_runs(reference, now)
    references = [chunk(reference, reference_runs, now)]
    ratios: List[float] = []
    while True:
        own = chunk(run, runs, now)
        references.append(chunk(reference, reference_runs, now))
        ratios.append(2 * own / (references[-2] + references[-1]))
        spread = standard_error(ratios)
        enough = len(ratios) >= pairs[0] and spread <= wanted
        if enough or len(ratios) >= pairs[1]:
            break
    middle = statistics.median(references)
    on_cpu = time.process_time_ns() - begun_on_cpu
    return {
        "ratio": statistics.median(ratios),
        "spread": spread,
        "reference_ms": middle / 1e6,
        "reference_spread": deviation(references) / middle,
        "pairs": len(ratios),
        "quiet": spread <= wanted,
        "core_share": min(1.0, on_cpu / (time.perf_counter_ns() - begun)),
    }


def chunk_runs(run: Run, now: Clock) -> int:
    """How many runs make a chunk."""
    return min(MAX_RUNS, max(MIN_RUNS, round(CHUNK_NS / chunk(run, MIN_RUNS, now))))


def chunk(run: Run, runs: int, now: Clock) -> float:
    """Median nanoseconds of warm runs.

    Args:
        run: the call to time.
        runs: how many are timed, after some that warm it up.
        now: the clock, in nanoseconds.
    """
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
    middle, count = statistics.median(values), len(values)
    factor = 1.4826 * FEW_VALUES.get(count, count / (count - 0.8))
    return float(factor * statistics.median([abs(value - middle) for value in values]))


def stop(number: int, _: object) -> None:
    """End as by Ctrl-C, at what a system that shuts down sends."""
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    try:
        main()
    except OSError as error:
        sys.exit(str(error))
    except KeyboardInterrupt as stopped:
        print("stopped; started again, it resumes", file=sys.stderr)
        sys.exit(128 + (stopped.args or (signal.SIGINT,))[0])
