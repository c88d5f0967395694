"""How often a network is timed, on which scale, and how sure its latency is."""

from dataclasses import replace
from math import sqrt
from random import Random
from statistics import fmean

import pytest

from bneck.latency.device_load import Load
from bneck.latency.devices import Graph, open_device
from bneck.latency.devices.local import LocalDevice
from bneck.latency.load_correction import LoadCorrection
from bneck.latency.measure import measure, measure_graph
from bneck.latency.model import LatencyModel
from bneck.latency.timing import Timing
from bneck.space import presets
from bneck.space.cost import cost
from tests.latency.machines import Blocked, Scripted

SMALL = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)


@pytest.fixture
def calibrated(macs_model: LatencyModel) -> LatencyModel:
    """At 64 px and for 10 classes, where the reference takes 3 ms."""
    return replace(macs_model, scale=LoadCorrection(3.0, classes=10))


def test_a_network_is_measured_on_the_calibrations_scale(calibrated: LatencyModel) -> None:
    arch = presets.build("mobilenet_v2", resolution_px=64, classes=10)
    small = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
    took = measure(arch, open_device(runtime="macs"), model=calibrated)
    assert took.ms == pytest.approx(3.0 * cost(arch).macs / cost(small).macs, rel=0.001)
    assert took.quiet
    assert took.note == ""


def test_a_network_of_another_side_is_measured_against_the_calibrations_reference(
    calibrated: LatencyModel,
) -> None:
    large = presets.build("mobilenet_v2", resolution_px=96, classes=10)
    small = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
    took = measure(large, open_device(runtime="macs"), model=calibrated)
    assert took.ms == pytest.approx(3.0 * cost(large).macs / cost(small).macs, rel=0.001)


def test_the_standard_error_of_a_measurement_is_in_ms_of_its_scale(
    calibrated: LatencyModel,
) -> None:
    arch = presets.build("mobilenet_v2", resolution_px=64, classes=10)
    device = LocalDevice(runtime=Blocked(noise=0.05))
    took = measure(arch, device, model=calibrated)
    assert took.timing is not None
    assert took.timing.spread > 0
    assert took.std_ms == pytest.approx(took.ms * took.timing.spread)


def steady(**changes: float) -> Timing:
    """A quiet timing of the reference's own latency, 2 ms, but for what changes."""
    return replace(Timing(1.0, 0.001, 2.0, 0.02, 6, True, 1.0), **changes)


@pytest.mark.parametrize(
    ("device", "prepared"),
    [
        (Scripted(steady()), 6),
        (Scripted(steady(ratio=0.9), steady(), steady(ratio=1.1)), 16),
        (Scripted(steady(), by_hand=True), 1),
    ],
)
def test_a_network_is_prepared_6_to_16_times_and_looked_up_once(
    device: Scripted, prepared: int
) -> None:
    said: list[tuple[int, int]] = []
    graph = Graph(SMALL.layers())
    measure_graph(
        graph, graph, device, progress=lambda _, done, of, note="": said.append((done, of))
    )
    assert device.asked == prepared
    assert said[-1] == (prepared, prepared)
    assert all(done < of for done, of in said[:-1])


@pytest.mark.parametrize("scatter", [0.003, 0.006, 0.012, 0.02])
def test_a_measurement_is_as_sure_as_it_says(scatter: float) -> None:
    """Also where it ends when it seems sure; at the first such moment it would say 0.67 of it."""
    draw = Random(0)
    drawn = [steady(ratio=draw.gauss(1.0, scatter), spread=1e-4) for _ in range(9000)]
    device, graph = Scripted(*drawn), Graph(SMALL.layers())
    found = [measure_graph(graph, graph, device) for _ in range(500)]
    true = sqrt(fmean((one.ms / 2.0 - 1.0) ** 2 for one in found))
    said = sqrt(fmean((one.std_ms / one.ms) ** 2 for one in found))
    assert 0.85 < said / true < 1.35


@pytest.mark.parametrize(
    ("device", "note"),
    [
        (Scripted(steady(core_share=0.9, reference_spread=0.1)), ""),
        (Scripted(steady(core_share=0.89)), "other programs used 11 % of this core"),
        (Scripted(steady(), load=Load(0.6, 0.0)), "other programs used 0.6 cores during"),
        (Scripted(steady(reference_spread=0.11)), "the reference itself scattered by 11 %"),
        (
            Scripted(steady(ratio=0.9), steady(), steady(ratio=1.1)),
            "the spread stayed at 4.9 % after 96 pairs of chunks (wanted 0.5 %)",
        ),
    ],
)
def test_why_a_measurement_is_not_to_be_believed(device: Scripted, note: str) -> None:
    """Of 16 ratios of 0.9, 1 and 1.1: 1.2533 x 1.4826 x 16 / 15.2 x 0.1 / sqrt(16) is 4.9 %."""
    graph = Graph(SMALL.layers())
    found = measure_graph(graph, graph, device)
    assert found.note.startswith(note)
    assert found.quiet == (not found.note) == (not note)
