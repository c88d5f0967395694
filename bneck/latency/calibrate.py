"""Making a latency model of this device: time random networks of the spaces, then fit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from statistics import median

from bneck.errors import BneckError, UsageError
from bneck.latency.calibrated_range import reach
from bneck.latency.calibration_networks import probe
from bneck.latency.device import Device, this_device
from bneck.latency.fit import Fit, find_blocking, fit
from bneck.latency.measure import reference
from bneck.latency.measurements import Measurement, Store
from bneck.latency.model import LatencyModel
from bneck.latency.runtimes import Runtime
from bneck.latency.timing import Clock, Run, Timing, compare
from bneck.latency.validation import UNJUDGED, Verdict, judge
from bneck.progress import Progress, silent
from bneck.space.architecture import Architecture
from bneck.space.choices import Space

FEWEST = 40
"""Networks that a fit needs at least."""
REFERENCE_SERVES = 10
"""Timings, then it is prepared anew: where its weights happen to lie moves its time by a percent
or two, which would tell on every network."""
REPEAT_SHARE = 0.2
"""Of the time, for measuring the held-out networks again and again: the model's own error can only
be told from noise by what several measurements of a network agree on."""
MOST_REPEATS = 7
TOO_NOISY = 0.1
"""Relative standard error of a typical timing, beyond which a fit would mean nothing."""
FEWEST_PAIRS, MOST_PAIRS = 4, 6
"""Of chunks. A fit averages over networks, and a verdict over repeats: many beat long timings, for
where a session's weights lie in memory moves all of its chunks alike."""


def calibrate(
    spaces: Sequence[Space],
    runtime: Runtime,
    *,
    folder: Path,
    minutes: float = 5.0,
    seed: int = 0,
    progress: Progress = silent,
) -> LatencyModel:
    """Time networks of ``spaces`` for so many minutes and fit a model to them.

    Every measurement is appended to ``folder/measurements.jsonl``; the same call goes on from
    there. All spaces must have the same input side; their networks are timed at it.

    Raises:
        UsageError: no space, spaces of several sides, or a folder with another calibration.
        BneckError: too few minutes, or a machine too noisy to calibrate.
    """
    archs = [space.decode(space.sample(seed)) for space in spaces]
    for field, what in (("resolution_px", "input side"), ("classes", "class count")):
        found = sorted({getattr(arch, field) for arch in archs})
        if len(found) != 1:
            raise UsageError(f"calibration needs spaces of one {what}, got {found}")
    side, classes = archs[0].resolution_px, archs[0].classes
    device = this_device(runtime)
    header = {
        "measurements": [space.name for space in spaces],
        "device": asdict(device),
        "resolution_px": side,
        "classes": classes,
        "seed": seed,
    }
    store = Store(folder / "measurements.jsonl", header)
    standard = renewed(lambda: reference(runtime, side, classes))
    _time(store, spaces, runtime, standard, minutes * 60, seed, progress)
    return model_from(list(store.items.values()), device, side)


def renewed(prepare: Callable[[], Run]) -> Iterator[Run]:
    """A reference for each timing, prepared anew after every REFERENCE_SERVES."""
    while True:
        run = prepare()
        for _ in range(REFERENCE_SERVES):
            yield run


def _time(
    store: Store,
    spaces: Sequence[Space],
    runtime: Runtime,
    standard: Iterator[Run],
    seconds: float,
    seed: int,
    progress: Progress,
) -> None:
    """Fill the store until the seconds are spent: new networks, then the held-out ones again.

    On a slow or busy machine it takes longer: a fit needs as many networks as it needs.
    """
    spent = sum(item.seconds for item in store.items.values())

    def add(name: str, arch: Architecture) -> None:
        nonlocal spent
        if name in store.items:
            return
        item = _timed(name, arch, runtime, next(standard))
        store.add(item)
        spent += item.seconds
        note = f"{len(store.items)} networks; {name}: {item.timing.ratio:.3f} x the reference"
        progress("calibrating (s)", min(int(spent), int(seconds) - 1), int(seconds), note)

    number = fitted = 0
    while spent < seconds * (1 - REPEAT_SHARE) or fitted < FEWEST:
        name, arch = probe(spaces, number, seed)
        add(name, arch)
        number += 1
        fitted += name.startswith("fit")
    once = sum(x.seconds for name, x in store.items.items() if not name.startswith("repeat"))
    seconds = max(seconds, once / (1 - REPEAT_SHARE))
    held_out = [item for name, item in store.items.items() if name.startswith("held-out")]
    for turn, item in product(range(1, MOST_REPEATS + 1), held_out):
        if spent >= seconds:
            break
        add(item.name.replace("held-out", f"repeat {turn} of"), item.arch)
    progress("calibrating (s)", int(seconds), int(seconds), f"{len(store.items)} timings")


def _timed(name: str, arch: Architecture, runtime: Runtime, standard: Run) -> Measurement:
    start = runtime.wall()
    timing = brief(runtime.prepare(arch.layers()), standard, runtime.clock)
    return Measurement(name, arch, timing, (runtime.wall() - start) / 1e9)


def brief(run: Run, standard: Run, clock: Clock) -> Timing:
    """One of many timings that will be averaged over."""
    return compare(run, standard, min_pairs=FEWEST_PAIRS, max_pairs=MOST_PAIRS, clock=clock)


def model_from(items: Sequence[Measurement], device: Device, resolution_px: int) -> LatencyModel:
    """Fit on what is not held out, judge on what is, then fit on all.

    Raises:
        BneckError: too few measurements, or too noisy ones.
    """

    def called(kind: str) -> list[Measurement]:
        return [item for item in items if item.name.startswith(kind)]

    fitted, held_out, repeats = called("fit"), called("held-out"), called("repeat")
    if len(fitted) < FEWEST or not held_out:
        raise BneckError(
            f"only {len(items)} networks could be timed and {FEWEST + FEWEST // 8} are needed: "
            "give the calibration more minutes"
        )
    noise = median(item.timing.spread for item in items)
    if noise > TOO_NOISY:
        raise BneckError(
            f"this machine is too noisy to calibrate: repeated measurements scatter by {noise:.0%};"
            " stop other programs or use fewer threads"
        )

    blocking = find_blocking(fitted)

    def model(found: Fit, chosen: Sequence[Measurement], verdict: Verdict) -> LatencyModel:
        return LatencyModel(
            device,
            resolution_px,
            found.scale,
            blocking,
            found.coefficients,
            verdict.error,
            verdict.report,
            verdict.judged,
            reach(item.arch.layers() for item in chosen),
        )

    found = fit(fitted, blocking)
    unjudged = model(found, fitted, UNJUDGED)
    verdict = judge(unjudged, fitted, found.errors, held_out, repeats)
    seconds = sum(item.seconds for item in items)
    report = replace(verdict.report, seconds=seconds, networks=len(items))
    return model(fit(items, blocking), items, replace(verdict, report=report))
