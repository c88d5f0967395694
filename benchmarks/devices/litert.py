"""The latency model of LiteRT against the clock, and against the wheel's own litert-benchmark.

    python benchmarks/devices/litert.py --work DIR [--minutes 10] [--json]

Calibrates LiteRT on space v3-small at 224 px for so many minutes, judges the model on random
networks that it has not seen, then calibrates on all spaces for twice as long and judges MobileNet
presets at three widths by ``litert-benchmark``, a process of its own for each chunk of runs, all as
shares of V3-Small's measured latency. The presets are timed by our own runner too, which tells the
model's error from a difference between the two. Run it on a quiet machine. It resumes where it was
stopped: every measurement is kept in DIR.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median, stdev

from bneck.cli import exit_code_of, new_folder, positive
from bneck.errors import BneckError
from bneck.files import read_json, write_json
from bneck.latency.calibration.calibrate import BRIEF, calibrate
from bneck.latency.calibration.networks import spaces_called
from bneck.latency.devices import Device, Graph, open_device
from bneck.latency.measure import reference
from bneck.latency.measurements import Measurement, Store
from bneck.latency.model import LatencyModel, load
from bneck.latency.runtimes import open_runtime
from bneck.latency.runtimes.weights import norm_free
from bneck.latency.timing import Timing
from bneck.live import TerminalProgress
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.presets import MOBILENET_V3_SMALL

SIDE, CLASSES = 224, 1000
NETWORKS, ROUNDS = 100, 4
FIRST_SEED = 50_000_000
WIDTHS = (0.5, 0.75, 1.0)
PRESET_ROUNDS = 20
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


def in_rounds(
    file: Path, archs: Mapping[str, Architecture], rounds: int, device: Device
) -> dict[str, list[Timing]]:
    """Timings of each network by our own runner, a round of all after another.

    Args:
        file: where they are kept.
        archs: networks by name.
        rounds: timings of each.
        device: what times them.
    """
    store = Store(file, {"benchmark": "litert", "side": SIDE})
    for turn in range(rounds):
        for key, arch in archs.items():
            name = f"{key} round {turn}"
            if name not in store.items:
                begun = time.monotonic()
                graph = Graph(arch.layers())
                ((timing, _),) = device.time([graph], reference(SIDE, CLASSES), BRIEF)
                store.add(Measurement(name, arch, timing, time.monotonic() - begun))
    return {
        key: [store.items[f"{key} round {turn}"].timing for turn in range(rounds)] for key in archs
    }


def held_out() -> dict[str, Architecture]:
    """Random networks."""
    space = spaces.build("v3-small", resolution_px=SIDE, classes=CLASSES)
    return {str(n): space.decode(space.sample(FIRST_SEED + n)) for n in range(NETWORKS)}


def presets_at_widths() -> Iterator[tuple[str, Architecture]]:
    """The published MobileNets at each width."""
    for name in presets.PRESETS:
        if name.startswith("mobilenet"):
            for width in WIDTHS:
                yield f"{name} x {width}", presets.build(name, width=width)


def by_litert_benchmark(work: Path) -> dict[str, list[float]]:
    """Ratios of each preset to V3-Small before and after it, all by litert-benchmark.

    A round of all presets after another: what disturbs some minutes then disturbs all of them.
    """
    file = work / "litert-benchmark-rounds.json"
    found: dict[str, list[float]] = read_json(file) if file.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        standard = _written(Path(folder, "reference.tflite"), presets.build(MOBILENET_V3_SMALL))
        files = {
            name: _written(Path(folder, f"{name}.tflite"), arch)
            for name, arch in presets_at_widths()
        }
        before = _median_ms(standard)
        for turn in range(PRESET_ROUNDS):
            for name, network in files.items():
                ratios = found.setdefault(name, [])
                if len(ratios) > turn:
                    continue
                own, after = _median_ms(network), _median_ms(standard)
                ratios.append(2 * own / (before + after))
                before = after
                write_json(file, found)
    return found


def middle_mean(values: Sequence[float]) -> float:
    """Mean of the middle half: litert-benchmark rounds to 0.01 ms, and a median keeps its steps."""
    cut = len(values) // 4
    return fmean(sorted(values)[cut : len(values) - cut])


def judged(
    model: LatencyModel, timings: dict[str, list[Timing]], ratios: dict[str, list[float]]
) -> dict[str, dict[str, float | None]]:
    """Per cent by which each preset's prediction is off, and what that owes to the measurements.

    Args:
        model: of all spaces.
        timings: of each preset, by our own runner.
        ratios: of each preset to V3-Small, by litert-benchmark.
    """
    found: dict[str, dict[str, float | None]] = {}
    measured = {
        name: middle_mean([model.scale.ms(timing) for timing in own])
        for name, own in timings.items()
    }
    one = measured[f"{MOBILENET_V3_SMALL} x 1.0"]
    for name, arch in presets_at_widths():
        independent, ours = middle_mean(ratios[name]), measured[name]
        predicted = None
        try:
            predicted = model.predict(arch).ms
        except BneckError as error:  # nothing like it was calibrated
            print(f"{name}: {error}")
        found[name] = {
            "predicted": predicted and 100 * (predicted / one / independent - 1),
            "predicted, by our runner": predicted and 100 * (predicted / ours - 1),
            "our runner": 100 * (ours / one / independent - 1),
            "standard error": 100 * stdev(ratios[name]) / independent / len(ratios[name]) ** 0.5,
        }
    return found


def _written(path: Path, arch: Architecture) -> Path:
    path.write_bytes(open_runtime("litert").model(*norm_free(arch.layers())))
    return path


def _median_ms(file: Path) -> float:
    result = file.with_suffix(".json")
    command = [*PROGRAM, "--model", str(file), *RUNS, "--result_json", str(result)]
    subprocess.run(command, check=True, capture_output=True)
    return float(json.loads(result.read_text())["latency"]["median_ms"])


def within(errors: list[float], share: float) -> float:
    """Per cent of errors that are at most ``share``."""
    return 100 * sum(abs(error) <= share for error in errors) / len(errors)


def main() -> None:
    """Measure what is missing, then print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--work", type=new_folder, required=True, help="where measurements are kept"
    )
    parser.add_argument("--minutes", type=positive, default=10.0, help="of the calibration")
    parser.add_argument("--json", action="store_true", help="print one JSON object on one line")
    options = parser.parse_args()
    device = open_device(runtime="litert")
    model = model_of(options.work, "v3-small", device, options.minutes)
    watch = device.watch()
    archs = held_out()
    timed = in_rounds(options.work / "held-out.jsonl", archs, ROUNDS, device)
    errors = [
        model.predict(arch).ms / median(model.scale.ms(timing) for timing in timed[name]) - 1
        for name, arch in archs.items()
    ]
    whole = model_of(options.work, "all", device, 2 * options.minutes)
    ratios = by_litert_benchmark(options.work)
    ours = in_rounds(
        options.work / "presets.jsonl", dict(presets_at_widths()), PRESET_ROUNDS, device
    )
    of_presets = judged(whole, ours, ratios)
    known = [own["predicted"] for own in of_presets.values() if own["predicted"] is not None]
    figures = {
        "device": str(model.device),
        "busy": str(watch()),
        "minutes": options.minutes,
        "networks": len(errors),
        "within_10_percent": within(errors, 0.10),
        "within_5_percent": within(errors, 0.05),
        "mean_error_percent": 100 * sum(map(abs, errors)) / len(errors),
        "presets": len(known),
        "presets_within_7_percent": sum(abs(error) <= 7 for error in known),
        "largest_preset_error_percent": max(map(abs, known)),
        "preset_errors_percent": of_presets,
    }
    print(json.dumps(figures, indent=None if options.json else 2))


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
