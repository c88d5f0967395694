"""The latency model of LiteRT against the clock, and against the wheel's own litert-benchmark.

    python benchmarks/devices/litert.py --work DIR [--minutes 10] [--json]

Calibrates LiteRT on space v3-small at 224 px for so many minutes, judges the model on random
networks that it has not seen, then calibrates on all spaces for twice as long and judges MobileNet
presets at three widths by ``litert-benchmark``, a process of its own for each chunk of runs, all as
shares of V3-Small's measured latency. Run it on a quiet machine. It resumes where it was stopped:
every measurement is kept in DIR.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from bneck.errors import BneckError
from bneck.files import read_json, write_json
from bneck.latency.calibrate import BRIEF, calibrate
from bneck.latency.calibration_networks import spaces_called
from bneck.latency.devices import Device, Graph, open_device
from bneck.latency.measure import measure, reference
from bneck.latency.measurements import Measurement, Store
from bneck.latency.model import LatencyModel, load
from bneck.latency.runtimes import open_runtime
from bneck.latency.runtimes.weights import norm_free
from bneck.live import TerminalProgress
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.presets import MOBILENET_V3_SMALL

SIDE, CLASSES = 224, 1000
NETWORKS, ROUNDS = 100, 4
FIRST_SEED = 50_000_000
WIDTHS = (0.5, 0.75, 1.0)
PAIRS = 15
PROGRAM = (sys.executable, "-m", "ai_edge_litert.tools.benchmark_litert_model")
"""What the wheel installs as litert-benchmark."""
RUNS = ("--num_runs", "60", "--warmup_runs", "15", "--num_threads", "1")


def model_of(work: Path, name: str, device: Device, minutes: float) -> LatencyModel:
    """The model that was calibrated on spaces of that name, calibrated now where there is none."""
    file = work / f"{name}.json"
    if not file.exists():
        calibrate(
            spaces_called(name, resolution_px=SIDE, classes=CLASSES),
            device,
            folder=work / f"{name}.work",
            minutes=minutes,
            progress=TerminalProgress(),
        ).save(file)
    return load(file)


def held_out(work: Path, device: Device) -> list[tuple[Architecture, list[Any]]]:
    """Random networks with their timings, a round of all after another."""
    space = spaces.build("v3-small", resolution_px=SIDE, classes=CLASSES)
    archs = [space.decode(space.sample(FIRST_SEED + number)) for number in range(NETWORKS)]
    store = Store(work / "held-out.jsonl", {"benchmark": "litert", "side": SIDE})
    for turn in range(ROUNDS):
        for number, arch in enumerate(archs):
            name = f"{number} round {turn}"
            if name not in store.items:
                begun = time.monotonic()
                graph = Graph(arch.layers())
                ((timing, _),) = device.time([graph], reference(SIDE, CLASSES), BRIEF)
                store.add(Measurement(name, arch, timing, time.monotonic() - begun))
    return [
        (arch, [store.items[f"{number} round {turn}"].timing for turn in range(ROUNDS)])
        for number, arch in enumerate(archs)
    ]


def presets_at_widths() -> Iterator[tuple[str, Architecture]]:
    """The published MobileNets at each width."""
    for name in presets.PRESETS:
        if name.startswith("mobilenet"):
            for width in WIDTHS:
                yield f"{name} x {width}", presets.build(name, width=width)


def by_litert_benchmark(work: Path) -> dict[str, float]:
    """Each preset's latency as a share of V3-Small's, both by litert-benchmark in turns."""
    file = work / "litert-benchmark.json"
    found: dict[str, float] = read_json(file) if file.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        standard = _written(Path(folder, "reference.tflite"), presets.build(MOBILENET_V3_SMALL))
        for name, arch in presets_at_widths():
            if name in found:
                continue
            network = _written(Path(folder, "network.tflite"), arch)
            references = [_median_ms(standard)]
            ratios = []
            for _ in range(PAIRS):
                own = _median_ms(network)
                references.append(_median_ms(standard))
                ratios.append(2 * own / (references[-2] + references[-1]))
            found[name] = median(ratios)
            write_json(file, found)
    return found


def _written(path: Path, arch: Architecture) -> Path:
    path.write_bytes(open_runtime("litert").model(*norm_free(arch.layers())))
    return path


def _median_ms(file: Path) -> float:
    result = file.with_suffix(".json")
    command = [*PROGRAM, "--model", str(file), *RUNS, "--result_json", str(result)]
    subprocess.run(command, check=True, capture_output=True)
    return float(json.loads(result.read_text())["latency"]["median_ms"])


def v3_small_ms(model: LatencyModel, device: Device) -> float:
    """What V3-Small takes, measured, in the model's ms: the other side has it measured as well."""
    return measure(presets.build(MOBILENET_V3_SMALL), device, scale=model.scale).ms


def within(errors: list[float], share: float) -> float:
    """Per cent of errors that are at most ``share``."""
    return 100 * sum(abs(error) <= share for error in errors) / len(errors)


def main() -> None:
    """Measure what is missing, then print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="where measurements are kept")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the calibration")
    parser.add_argument("--json", action="store_true", help="print one JSON object on one line")
    options = parser.parse_args()
    device = open_device(runtime="litert")
    model = model_of(options.work, "v3-small", device, options.minutes)
    watch = device.watch()
    errors = [
        model.predict(arch).ms / median(model.scale.ms(timing) for timing in timings) - 1
        for arch, timings in held_out(options.work, device)
    ]
    whole = model_of(options.work, "all", device, 2 * options.minutes)
    independent = by_litert_benchmark(options.work)
    one = v3_small_ms(whole, device)
    of_presets: dict[str, float | None] = {}
    for name, arch in presets_at_widths():
        try:
            of_presets[name] = 100 * (whole.predict(arch).ms / one / independent[name] - 1)
        except BneckError as error:  # nothing like it was calibrated
            print(f"{name}: {error}")
            of_presets[name] = None
    known = [error for error in of_presets.values() if error is not None]
    figures = {
        "device": str(model.device),
        "busy": str(watch()),
        "minutes": options.minutes,
        "networks": len(errors),
        "within_10_percent": within(errors, 0.10),
        "within_5_percent": within(errors, 0.05),
        "mean_error_percent": 100 * sum(map(abs, errors)) / len(errors),
        "largest_preset_error_percent": max(map(abs, known)),
        "preset_errors_percent": of_presets,
    }
    print(json.dumps(figures, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
