"""A model from measurements: those that are refused, and those that judge it."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from bneck.errors import BneckError
from bneck.latency.fingerprint import this_machine
from bneck.latency.fitted_model import model_from
from bneck.latency.measurements import read
from bneck.latency.runtimes.macs import MacsRuntime


def test_a_noisy_machine_is_refused(macs_folder: Path) -> None:
    header, items, _ = read(macs_folder / "measurements.jsonl")
    wild = [replace(item, timing=replace(item.timing, spread=0.4)) for item in items]
    with pytest.raises(BneckError, match="scatter by 40 %; stop other programs"):
        model_from(wild, this_machine(MacsRuntime()), header["resolution_px"])
    wild = [replace(item, timing=replace(item.timing, spread=0.11)) for item in items]
    with pytest.raises(BneckError, match="scatter by 11 %"):
        model_from(wild, this_machine(MacsRuntime()), header["resolution_px"])
    with pytest.raises(BneckError, match="only 30 networks could be timed: 26 to fit and 4 to"):
        model_from(items[:30], this_machine(MacsRuntime()), header["resolution_px"])
    with pytest.raises(BneckError, match="only 1 network could be timed: 1 to fit and 0 to"):
        model_from(items[:1], this_machine(MacsRuntime()), header["resolution_px"])


def test_measurements_that_contradict_each_other_are_refused(macs_folder: Path) -> None:
    """Of ratios that differ by factors of thousands, no sum of kernels is above 0 everywhere."""
    header, items, _ = read(macs_folder / "measurements.jsonl")
    draw = random.Random(0)
    wild = [
        replace(item, timing=replace(item.timing, ratio=draw.lognormvariate(0, 3)))
        for item in items[:60]
    ]
    with pytest.raises(BneckError, match="the measurements contradict each other: by the others"):
        model_from(wild, this_machine(MacsRuntime()), header["resolution_px"])


def test_a_kernel_that_held_out_networks_alone_have_is_learnt_from_them(macs_folder: Path) -> None:
    """It cannot be predicted before they join the fit, so they say nothing of its error."""
    header, items, _ = read(macs_folder / "measurements.jsonl")
    first, *others = [number for number, item in enumerate(items[:60]) if item.name[0] == "h"]
    stages = items[first].arch.stages
    rare = replace(stages[1][0], kernel=9)  # type: ignore[type-var]
    arch = replace(items[first].arch, stages=(stages[0], (rare, *stages[1][1:]), *stages[2:]))
    items[first] = replace(items[first], arch=arch)
    device, side = this_machine(MacsRuntime()), header["resolution_px"]
    model = model_from(items[:60], device, side)
    assert model.report.held_out == len(others)
    assert model.knows(arch)
    fitted = [item for item in items[:60] if item.name[0] == "f"]
    with pytest.raises(BneckError, match="each held-out network has a kernel that none of the"):
        model_from([*fitted, items[first]], device, side)


def test_a_network_that_is_fitted_to_as_well_does_not_judge(macs_folder: Path) -> None:
    """As of a space with few networks: half of its time more in the fit changes no error."""
    header, items, _ = read(macs_folder / "measurements.jsonl")
    items = items[:60]
    twin = next(item for item in items if item.name.startswith("held-out"))
    slower = replace(twin.timing, ratio=1.5 * twin.timing.ratio)
    again = replace(twin, name="fit 9999", timing=slower)
    found, as_well = (
        model_from(one, this_machine(MacsRuntime()), header["resolution_px"])
        for one in (items, [*items, again])
    )
    assert as_well.held_out == found.held_out
    assert as_well.report.mape_percent == found.report.mape_percent
