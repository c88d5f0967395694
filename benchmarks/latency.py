"""The latency model against the clock: held-out networks in docs/evidence/latency.md, from one run.

    python benchmarks/latency.py --work DIR [--minutes 10] [--json]

Measures what DIR lacks, for so many minutes, and prints what can be said so far; a calibration
that has begun is finished first, and the calibrations alone take 35 minutes. Run it until
``measured`` is ``subjects`` and the repeat errors are as small as wanted, or with --minutes 0 to
evaluate again only.
"""

import argparse
import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from statistics import median

from latency_figures import evaluate, steady_mean

from bneck.cli import exit_code_of, from_zero, new_folder
from bneck.errors import UsageError
from bneck.files import write_json
from bneck.latency.calibration.calibrate import BRIEF, calibrate
from bneck.latency.calibration.networks import published, spaces_called
from bneck.latency.devices import Graph
from bneck.latency.devices.local import LocalDevice
from bneck.latency.features import kernels
from bneck.latency.load_correction import LoadCorrection
from bneck.latency.measure import reference
from bneck.latency.measurements import Measurement, Store
from bneck.latency.model import load
from bneck.latency.timing import Clock, Run, Timing, compare
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture, block_path
from bneck.space.edits import narrow, narrowables
from bneck.space.layers import Layer

SIDE, CLASSES = 224, 1000
HELD_OUT = {"v3-small": 200, "v3-large": 100, "mnasnet": 100}
CALIBRATIONS = {"v3-small": 9.5, "v3-large": 9.5, "mnasnet": 9.5, "published": 6.0}
"""Minutes of timing; starting and fitting take up to half a minute more. Together they are what
``--space all`` times, and make the model that the presets are judged by."""
PAIRS = 150
TABLE_NETWORKS = 30
RULER_REPEATS = 9
MIN_ROUNDS, MAX_ROUNDS = len(CALIBRATIONS), 32
WANTED = 0.015
"""Relative standard error of a subject's mean at which it need not be timed again."""
FINER = 0.01
"""The same where all subjects have reached the other, while time is left."""
WANTED_SAVING = 0.004
"""The same for a pair, whose savings are a few percent: a ranking of them needs it."""
FIRST_SEED = 50_000_000


@dataclass(frozen=True)
class Subject:
    """A network to time, against V3-Small or, for a pair, against the network it was made of."""

    name: str
    arch: Architecture
    space: str
    against: Architecture | None = None


def subjects() -> Iterator[Subject]:
    """Everything that is held out, in a fixed order."""
    for name, count in HELD_OUT.items():
        space = spaces.build(name, resolution_px=SIDE, classes=CLASSES)
        for number in range(count):
            arch = space.decode(space.sample(FIRST_SEED + number))
            yield Subject(f"{name} {number}", arch, name)
    for preset in presets.PRESETS:
        for width in (0.5, 0.75, 1.0):
            yield Subject(
                f"preset {preset} {width}", presets.build(preset, width=width), "published"
            )
    for number in range(PAIRS):
        name = tuple(HELD_OUT)[number % len(HELD_OUT)]
        space = spaces.build(name, resolution_px=SIDE, classes=CLASSES)
        whole = space.decode(space.sample(2 * FIRST_SEED + number))
        yield Subject(f"pair {number}", _narrowed_once(whole, number), name, whole)


def _narrowed_once(arch: Architecture, seed: int) -> Architecture:
    """One expansion or bottleneck at a random multiple of 8 between 30 and 90 % of its width."""
    draw = random.Random(seed)
    items = [item for item in narrowables(arch) if not item.what.startswith("head.")]
    while True:
        item = draw.choice(items)
        width = max(8, round(item.width * draw.uniform(0.3, 0.9) / 8) * 8)
        try:
            return narrow(arch, item.what, width)
        except UsageError:  # a layer would be dropped
            continue


class Lab:
    """The measurements in one folder, and the time left for new ones."""

    def __init__(self, work: Path, minutes: float) -> None:
        self.work = work
        self.until = time.monotonic() + 60 * minutes
        self.device = LocalDevice()
        self.runtime = self.device.runtime
        header = {"benchmark": "latency", "side": SIDE, "classes": CLASSES}
        self.store = Store(work / "held-out.jsonl", header)

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.until

    def measure(self) -> None:
        """Calibrations with the subjects they are judged by, pairs, and what is not steady yet."""
        for number, name in enumerate(CALIBRATIONS):
            self.calibration(number, name)
        self.ruler()
        self.blocks()
        for wanted in (WANTED, FINER):
            for number in range(MAX_ROUNDS):
                self.round(number, wanted)

    def calibration(self, number: int, name: str) -> None:
        """One space on its own, or the published networks.

        The subjects that will judge it are timed in between, so that both see the same minutes of
        the machine; the presets, which all calibrations together foretell, once in each.
        """
        folder = self.work / f"calibration-{name}"
        if (folder / "latency.json").exists() or self.over:
            return
        whole = not folder.exists()
        turns = list(_turns(number, name))
        random.Random(0).shuffle(turns)
        elsewhere = 0.0

        def between(what: str, done: int, total: int, note: str = "") -> None:
            nonlocal elsewhere
            start = time.monotonic()
            for turn, subject in turns[: len(turns) * done // total]:
                self._time(turn, subject)
            elsewhere += time.monotonic() - start

        if name == "published":
            made = [published(SIDE, CLASSES)]
        else:
            made = spaces_called(name, resolution_px=SIDE, classes=CLASSES)
        start, minutes = time.monotonic(), CALIBRATIONS[name]
        model = calibrate(made, self.device, folder=folder, minutes=minutes, progress=between)
        wall = (time.monotonic() - start - elsewhere) / 60
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if whole:
            write_json(folder / "cost.json", {"wall_minutes": wall, "peak_memory_mb": memory})
        model.save(folder / "latency.json")

    def round(self, number: int, wanted: float) -> None:
        """Every subject once, but for those whose mean over the rounds is steady already."""
        for subject in subjects():
            if self.over:
                return
            if not self._steady(subject, number, wanted):
                self._time(number, subject)

    def _steady(self, subject: Subject, rounds: int, wanted: float) -> bool:
        if rounds < MIN_ROUNDS:
            return False
        found = [self.store.items.get(f"{subject.name} round {number}") for number in range(rounds)]
        timings = [item.timing for item in found if item is not None]
        times = [timing.ratio for timing in timings]
        if subject.against is not None:
            wanted = min(wanted, WANTED_SAVING)
        else:
            scale = _scale(self.work / f"calibration-{subject.space}" / "latency.json")
            times = [scale.ms(timing) for timing in timings]
        return steady_mean(times, timings)[1] <= wanted

    def _time(self, number: int, subject: Subject) -> None:
        """One round of one subject, unless it has been measured.

        The reference is prepared first, as calibration does it: with a reference that was prepared
        after a network, networks read 0.4 % slower, probably by where their memory comes to lie.
        """
        name = f"{subject.name} round {number}"
        if name in self.store.items:
            return
        start = time.monotonic()
        against = subject.against
        standard = reference(SIDE, CLASSES) if against is None else Graph(against.layers())
        timing = self._timed(Graph(subject.arch.layers()), standard)
        self.store.add(Measurement(name, subject.arch, timing, time.monotonic() - start))

    def _timed(self, graph: Graph, standard: Graph) -> Timing:
        ((timing, _),) = self.device.time([graph], standard, BRIEF)
        return timing

    def blocks(self) -> None:
        """Sums of blocks that are timed alone, as a plain table has them, for a few networks."""
        path = self.work / "blocks.json"
        if path.exists() or self.over:
            return
        known: dict[object, float] = {}
        sums = {}
        chosen = [item for item in subjects() if item.name.startswith("v3-small ")]
        for subject in chosen[:TABLE_NETWORKS]:
            ratios = []
            for layers in _blocks(subject.arch.layers()):
                key = tuple(kernel for _, kernel in kernels(layers))
                if key not in known:
                    known[key] = self._timed(Graph(layers), reference(SIDE, CLASSES)).ratio
                ratios.append(known[key])
            sums[subject.name] = sum(ratios)
        write_json(path, sums)

    def ruler(self) -> None:
        """V3-Small against itself, and ratios between networks against those of plain loops."""
        path = self.work / "ruler.json"
        if path.exists() or self.over:
            return
        clock = self.runtime.clock
        result: dict[str, object] = {}
        for name in ("mobilenet_v3_small", "mobilenet_v3_large", "mobilenet_v2"):
            ratios, loops = [], []
            for _ in range(RULER_REPEATS):
                run = self.runtime.prepare(presets.build(name).layers())
                standard = self.runtime.prepare(reference(SIDE, CLASSES).layers)
                ratios.append(compare(run, standard, clock=clock).ratio)
                before, own, after = (_loop_ms(x, clock) for x in (standard, run, standard))
                loops.append(2 * own / (before + after))
            result[name] = {"ratio": median(ratios), "least": min(ratios), "most": max(ratios)}
            result[f"{name} plain loop"] = median(loops)
        write_json(path, result)


def _turns(number: int, name: str) -> Iterator[tuple[int, Subject]]:
    """What is timed during a calibration: the space's own subjects, and the presets once."""
    kept = [subject for subject in subjects() if subject.against is None]
    for turn in range(MIN_ROUNDS):
        for subject in kept:
            preset = subject.space == "published"
            if turn == number if preset else subject.space == name:
                yield turn, subject


@cache
def _scale(model: Path) -> LoadCorrection:
    return load(model).scale


def _blocks(layers: tuple[Layer, ...]) -> Iterator[tuple[Layer, ...]]:
    for _, group in groupby(layers, lambda layer: block_path(layer.path)):
        yield tuple(group)


def _loop_ms(run: Run, clock: Clock) -> float:
    """Median of 100 runs after 20, back to back."""
    times = []
    for _ in range(120):
        start = clock()
        run()
        times.append(clock() - start)
    return median(times[20:]) / 1e6


def main() -> None:
    """Measure, then evaluate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--work", type=new_folder, required=True, help="where measurements are kept"
    )
    parser.add_argument("--minutes", type=from_zero, default=10.0, help="time for measuring now")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    lab = Lab(options.work, options.minutes)
    lab.measure()
    everything = {subject.name: subject for subject in subjects()}
    figures = evaluate(lab.work, lab.store.items.values(), everything, MIN_ROUNDS)
    print(json.dumps(figures, indent=None if options.json else 2))


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
