"""What the measurements of benchmarks/latency.py say."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from batch import Batch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from bneck.errors import BneckError
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.fit import trusted
from bneck.latency.fitted_model import model_from
from bneck.latency.measurements import Measurement, read
from bneck.latency.model import LatencyModel
from bneck.latency.timing import Timing
from bneck.space import spaces
from bneck.space.architecture import Architecture
from bneck.space.cost import cost

MINUTES = (1, 2, 5, 10)
BIG_SAVING = 0.03
Truth = dict[str, tuple[float, float]]
"""Measured ms (for a pair: the ratio) and its relative standard error, by subject."""


def evaluate(
    work: Path, held_out: Iterable[Measurement], subjects: Mapping[str, Any], min_rounds: int
) -> dict[str, Any]:
    """Every figure that the measurements so far allow."""
    rounds: dict[str, list[Measurement]] = {}
    for item in held_out:
        rounds.setdefault(item.name.rpartition(" round ")[0], []).append(item)
    steady = {name: items for name, items in rounds.items() if len(items) >= min_rounds}
    figures: dict[str, Any] = {"subjects": len(subjects), "measured": len(steady)}
    models: dict[str, LatencyModel] = {}
    together: list[list[Measurement]] = []
    for folder in sorted(work.glob("calibration-*")):
        name = folder.name.removeprefix("calibration-")
        header, items, _ = read(folder / "measurements.jsonl")
        device = Fingerprint(**header["device"])
        together.append(items)
        models[name] = model_from(items, device, header["resolution_px"])
        cost_file = folder / "cost.json"
        spent = json.loads(cost_file.read_text()) if cost_file.exists() else {}
        figures[f"calibration {name}"] = _calibration(models[name], items) | spent
        if name in spaces.SPACES:
            archs = {key: subjects[key].arch for key in steady if key.startswith(f"{name} ")}
            truth = _truth(steady, archs, models[name].scale.ms)
            figures[f"speed {name}"] = _speed(models[name], name)
            if truth:
                figures[name] = _space(models[name], items, archs, truth, work)
                figures[f"curve {name}"] = _curve(items, device, archs, truth)
    if "published" in models:
        # In turns, as one call for all spaces times them.
        items = [item for turn in zip_longest(*together) for item in turn if item is not None]
        everything = model_from(items, device, items[0].arch.resolution_px)
        figures["calibration all"] = _calibration(everything, items)
        figures["presets"] = _presets(everything, steady, subjects)
    figures["pairs"] = _pairs(models, steady, subjects)
    if (work / "ruler.json").exists():
        figures["ruler"] = json.loads((work / "ruler.json").read_text())
    return figures


def _truth(
    rounds: Mapping[str, Sequence[Measurement]], names: Iterable[str], ms: Callable[[Any], float]
) -> Truth:
    found = {}
    for name in names:
        timings = [item.timing for item in rounds[name]]
        found[name] = steady_mean([ms(timing) for timing in timings], timings)
    return found


def steady_mean(times: Sequence[float], timings: Sequence[Timing]) -> tuple[float, float]:
    """The mean of a network's rounds, and its relative standard error.

    A round counts as much as a fit would let it: one that scattered counts less. What disturbs a
    machine makes times longer, so that a plain mean lies above what a fit foretells.
    """
    values, weights = np.array(times), trusted(timings)
    middle = float(np.average(values, weights=weights))
    squares = (weights * (values - middle)) ** 2
    count = len(values)
    error = float((squares.sum() * count / (count - 1)) ** 0.5 / weights.sum())
    return middle, error / middle


def _errors(predicted: Sequence[float], truth: Truth) -> dict[str, float]:
    measured = np.array([ms for ms, _ in truth.values()])
    errors = np.array(predicted) / measured - 1
    return {
        "networks": len(errors),
        "mean_error_percent": 100 * float(np.abs(errors).mean()),
        "bias_percent": 100 * float(errors.mean()),
        "within_5_percent": 100 * float((np.abs(errors) <= 0.05).mean()),
        "within_10_percent": 100 * float((np.abs(errors) <= 0.10).mean()),
        "worst_percent": 100 * float(np.abs(errors).max()),
    }


def _calibration(model: LatencyModel, items: Sequence[Measurement]) -> dict[str, Any]:
    return {
        "minutes": model.report.seconds / 60,
        "networks": len(items),
        "channel_grid": model.blocking.grid,
        "alignment": model.blocking.alignment,
        "repeat_mape_percent": model.report.repeat_mape_percent,
        "load": model.scale.load,
        "load_by_size": model.scale.load_by_size,
        "stated_std_percent": 100 * model.error,
    }


def _space(
    model: LatencyModel,
    items: Sequence[Measurement],
    archs: Mapping[str, Architecture],
    truth: Truth,
    work: Path,
) -> dict[str, Any]:
    """Ours beside a regression on multiply-adds and a plain sum of blocks timed alone."""
    predicted = [model.predict(arch) for arch in archs.values()]
    measured = [ms for ms, _ in truth.values()]
    inside = [
        abs(p.ms - m) <= 2 * (p.std_ms or 0.0) for p, m in zip(predicted, measured, strict=True)
    ]
    weights = _macs_regression(model, items)
    counts = [cost(arch).macs / 1e6 for arch in archs.values()]
    result: dict[str, Any] = {
        "ours": _errors([p.ms for p in predicted], truth),
        "within_2_std_percent": 100 * mean(inside),
        "repeat_error_percent": 100 * mean(error for _, error in truth.values()),
        "worst_repeat_error_percent": 100 * max(error for _, error in truth.values()),
        "multiply_adds": _errors([weights[0] + weights[1] * count for count in counts], truth),
    }
    if (work / "blocks.json").exists():
        sums = json.loads((work / "blocks.json").read_text())
        summed = {name: sums[name] for name in archs if name in sums}
        if summed:
            part = {name: truth[name] for name in summed}
            times = [ratio * model.scale.reference_ms for ratio in summed.values()]
            result["block_sum"] = _errors(times, part)
    return result


def _macs_regression(model: LatencyModel, items: Sequence[Measurement]) -> NDArray[np.float64]:
    """ms = a + b * millions of multiply-adds, least relative error on the calibration."""
    times = np.array([model.scale.ms(item.timing) for item in items])
    counts = np.array([cost(item.arch).macs / 1e6 for item in items])
    terms = np.stack([np.ones_like(counts), counts], axis=1) / times[:, None]
    weights: NDArray[np.float64] = np.linalg.lstsq(terms, np.ones_like(times), rcond=None)[0]
    return weights


def _curve(
    items: Sequence[Measurement],
    device: Fingerprint,
    archs: Mapping[str, Architecture],
    truth: Truth,
) -> dict[str, float]:
    """Mean error after so many minutes of calibration, from the same measurements cut short."""
    curve = {}
    for minutes in MINUTES:
        spent, begun = 0.0, []
        for item in items:
            spent += item.seconds
            if spent <= 60 * minutes:
                begun.append(item)
        try:
            model = model_from(begun, device, items[0].arch.resolution_px)
        except BneckError:
            continue
        predicted = [model.predict(arch).ms for arch in archs.values()]
        curve[str(minutes)] = _errors(predicted, truth)["mean_error_percent"]
    return curve


def _presets(
    model: LatencyModel, rounds: Mapping[str, Sequence[Measurement]], subjects: Mapping[str, Any]
) -> dict[str, Any]:
    names = [name for name in rounds if name.startswith("preset ")]
    if not names:
        return {}
    truth = _truth(rounds, names, model.scale.ms)
    predicted = [model.predict(subjects[name].arch).ms for name in names]
    each = {
        name.removeprefix("preset "): 100 * (ms / truth[name][0] - 1)
        for name, ms in zip(names, predicted, strict=True)
    }
    within = mean(abs(error) <= 6 for error in each.values())
    return {
        **_errors(predicted, truth),
        "within_6_percent": 100 * within,
        "repeat_error_percent": 100 * mean(error for _, error in truth.values()),
        "errors_percent": each,
    }


def _pairs(
    models: Mapping[str, LatencyModel],
    rounds: Mapping[str, Sequence[Measurement]],
    subjects: Mapping[str, Any],
) -> dict[str, Any]:
    """Savings, as shares of the wider network's time."""
    names = [name for name in rounds if name.startswith("pair ") and subjects[name].space in models]
    if len(names) < 3:
        return {}
    truth = _truth(rounds, names, lambda timing: float(timing.ratio))
    measured = np.array([1 - ratio for ratio, _ in truth.values()])
    predicted = []
    for name in names:
        subject, model = subjects[name], models[subjects[name].space]
        predicted.append(1 - model.predict(subject.arch).ms / model.predict(subject.against).ms)
    big = measured > BIG_SAVING
    return {
        "pairs": len(names),
        "saving_above_3_percent": int(big.sum()),
        "right_sign": int((np.array(predicted)[big] > 0).sum()),
        "rank_correlation": float(spearmanr(predicted, measured).statistic),
        "repeat_error_percent": 100 * mean(error for _, error in truth.values()),
    }


def _speed(model: LatencyModel, name: str) -> dict[str, float]:
    """Networks a second in a batch whose parts are known, and ms for one unseen network."""
    space = spaces.build(name, resolution_px=model.resolution_px)
    batch = Batch(model, space)
    codes = batch.sample(200_000, seed=0)
    batch.predict(codes)
    start = time.perf_counter()
    batch.predict(codes)
    many = len(codes) / (time.perf_counter() - start)
    unseen = [space.decode(space.sample(seed)) for seed in range(9_000, 9_200)]
    start = time.perf_counter()
    for arch in unseen:
        model.predict(arch)
    one = (time.perf_counter() - start) / len(unseen)
    return {"networks_per_second": many, "one_unseen_ms": 1e3 * one}
