"""What this machine and a table measure, and what every device is asked."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bneck.errors import BneckError, UsageError
from bneck.latency import device_load
from bneck.latency.block_names import block_names
from bneck.latency.device_load import QUIET, LoadWatch
from bneck.latency.devices import DEVICES, Graph, check_device_word, check_wait, open_device
from bneck.latency.devices.local import LocalDevice
from bneck.latency.measure import measure, quick_latency_ms, reference
from bneck.latency.model import LatencyModel
from bneck.latency.runtimes import Runtime
from bneck.latency.runtimes.macs import MacsRuntime
from bneck.latency.timing import Effort
from bneck.latency.warn import check_device, too_many_threads
from bneck.machine import cores, cpu_of
from bneck.space import presets
from bneck.space.cost import cost
from bneck.space.layers import Layer, Linear
from bneck.text import number_of

SMALL = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)
LARGE = presets.build("mobilenet_v3_large", resolution_px=64, classes=10)


@pytest.fixture
def table(tmp_path: Path) -> str:
    """Half a millisecond for each block of V3-Small."""
    names = dict.fromkeys(name for _, name in block_names(SMALL.layers()))
    path = tmp_path / "phone.csv"
    path.write_text("block,ms\n" + "".join(f"{name},0.5\n" for name in names))
    return f"table:{path}"


def test_this_machine_times_graphs_in_order_and_asks_for_them_one_by_one() -> None:
    device = open_device(runtime="macs")
    seen: list[float] = []

    def graphs() -> Iterator[Graph]:
        for arch in (SMALL, LARGE):
            assert len(seen) == (arch is LARGE)
            yield Graph(arch.layers())

    for timing, seconds in device.time(graphs(), reference(64, 10), Effort()):
        seen.append(timing.ratio)
        assert seconds > 0
    assert seen[0] == 1.0
    assert seen[1] == pytest.approx(cost(LARGE).macs / cost(SMALL).macs, rel=1e-3)


def test_networks_take_as_long_as_their_multiply_adds_say_to_the_last_one() -> None:
    """Of a network for 16 px a whole nanosecond is a percent."""
    runtime = MacsRuntime()

    def run_ns(macs: int) -> float:
        begun = runtime.clock()
        runtime.prepare((Linear("classifier", macs, 1, "none"),))()
        return runtime.clock() - begun

    for macs in (*range(1, 3000), 56_510_936, 56_510_937):
        assert macs - 1 < 1000 * run_ns(macs) <= macs
        assert run_ns(macs) < run_ns(macs + 1)


class Counted(MacsRuntime):
    """Counts how often something is prepared, by its number of layers, and keeps its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.prepared: list[int] = []
        self.weights: list[object] = []

    def prepare(self, layers: tuple[Layer, ...], weights: object = None) -> Callable[[], object]:
        self.prepared.append(len(layers))
        self.weights.append(weights)
        return super().prepare(layers)


def test_the_reference_is_prepared_again_for_every_tenth_network() -> None:
    runtime = Counted()
    device = LocalDevice(runtime=runtime)
    graphs = [Graph(SMALL.layers()[:2])] * 21
    seconds = [took for _, took in device.time(graphs, reference(64, 10), Effort(0.0, 1, 1))]
    assert runtime.prepared.count(2) == 21
    assert len(runtime.prepared) == 21 + 3
    assert sum(seconds) == pytest.approx(runtime.wall() / 1e9)


def test_a_network_is_timed_with_its_own_weights_and_the_reference_with_any() -> None:
    runtime, own = Counted(), {"stem.conv.weight": np.ones((16, 3, 3, 3), np.float32)}
    graph, once = Graph(SMALL.layers(), own), Effort(0.0, 1, 1)
    list(LocalDevice(runtime=runtime).time([graph], reference(64, 10), once))
    assert sorted(runtime.weights, key=bool) == [None, own]


class Waiting(Runtime):
    """Runs that wait for a millisecond, and compute for less."""

    def prepare(self, layers: tuple[Layer, ...], weights: object = None) -> Callable[[], object]:
        return lambda: time.sleep(0.001) or sum(range(10_000))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_core_that_the_runs_did_not_have_is_told(threads: int) -> None:
    device, graph = LocalDevice(runtime=Waiting(threads=threads)), Graph(SMALL.layers())
    ((timing, _),) = device.time([graph], graph, Effort(0.0, 1, 1))
    assert timing.core_share < 0.9


@pytest.mark.parametrize("threads", [1, 2])
def test_a_machine_that_is_timed_by_the_wall_is_watched_like_any_other(threads: int) -> None:
    """Runs of several threads are: that makes no clock without noise of it."""
    here = LocalDevice(runtime="onnxruntime", threads=threads)
    assert not here.synthetic
    assert isinstance(getattr(here.watch(), "__self__", None), LoadWatch)
    counted = LocalDevice(runtime="macs", threads=threads)
    assert counted.synthetic
    assert counted.watch()() == QUIET


def test_more_threads_than_cores_are_said() -> None:
    """Of this machine alone, and where time is told by a clock."""
    device = LocalDevice(runtime="onnxruntime", threads=cores() + 1)
    assert too_many_threads(device) == (
        f"--threads {cores() + 1} is more than this machine has: {number_of(cores(), 'core')}; "
        "threads that take turns are slow, and their latencies scatter"
    )
    assert too_many_threads(LocalDevice(runtime="onnxruntime", threads=cores())) == ""
    assert too_many_threads(LocalDevice(runtime="macs", threads=cores() + 1)) == ""
    assert too_many_threads(open_device("ssh:pi", threads=cores() + 1)) == ""


def test_a_few_networks_are_timed_before_a_calibration() -> None:
    device = open_device(runtime="macs")
    found = [quick_latency_ms(device, arch) for arch in (SMALL, LARGE)]
    assert found == pytest.approx([cost(arch).macs / 1e9 for arch in (SMALL, LARGE)], rel=1e-3)


def test_a_training_after_a_timing_by_torch_has_the_threads_that_it_had_before() -> None:
    import torch

    torch.set_num_threads(2)
    graph = reference(32, 10)
    device = LocalDevice(runtime="torch", threads=1)
    ((timing, _),) = device.time([graph], graph, Effort(min_pairs=1, max_pairs=1))
    assert timing.ratio == pytest.approx(1, abs=0.9)
    assert torch.get_num_threads() == 2


def test_a_table_is_a_device_that_predicts(table: str) -> None:
    device = open_device(table)
    blocks = len(list(block_names(SMALL.layers())))
    took = measure(SMALL, device)
    assert took.ms == pytest.approx(0.5 * blocks)
    assert took.predicted
    assert quick_latency_ms(device, SMALL) == took.ms
    assert str(device.fingerprint()).startswith(table)
    with pytest.raises(UsageError, match="can be predicted, not measured"):
        list(device.time([Graph(SMALL.layers())], reference(64, 10), Effort()))


def test_only_what_tells_how_busy_it_is_is_waited_for() -> None:
    for word in ("local", "ssh:pi"):
        check_wait(word, 1.0)
    for word in ("adb:", "file:kit", "table:x.csv"):
        check_wait(word, 0.0)
        with pytest.raises(UsageError, match=f"wait-quiet .* device {word}, which is not watched"):
            check_wait(word, 1.0)


def test_a_system_that_does_not_tell_how_busy_it_is_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As macOS, which has no /proc: nothing would be waited for, and nothing said."""
    monkeypatch.setattr(device_load, "_STAT", tmp_path / "stat")
    check_wait("local", 0.0)
    check_wait("ssh:pi", 1.0)  # which may tell
    with pytest.raises(UsageError, match="--wait-quiet has no effect on this system, which does"):
        check_wait("local", 1.0)


def test_unknown_devices_are_one_line() -> None:
    known = ", ".join(DEVICES)
    with pytest.raises(UsageError, match=f"unknown target device 'phone'; known: {known}"):
        open_device("phone")
    with pytest.raises(UsageError, match="local takes no name, got 'here'"):
        open_device("local:here")
    with pytest.raises(UsageError, match="name the file of the table: table:FILE"):
        open_device("table:")
    with pytest.raises(UsageError, match=r"no such file: no\.csv"):
        open_device("table:no.csv")
    with pytest.raises(UsageError, match="unknown runtime 'x'"):
        open_device(runtime="x")


PI_4 = """processor\t: 0
CPU implementer\t: 0x41
CPU part\t: 0xd08
processor\t: 1
CPU implementer\t: 0x41
CPU part\t: 0xd08

Hardware\t: BCM2835
Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""
BIG_LITTLE = "CPU implementer : 0x41\nCPU part : 0xd05\nCPU implementer : 0x41\nCPU part : 0xd0a\n"


def test_arm_boards_are_told_apart() -> None:
    assert cpu_of(PI_4, "Raspberry Pi 4 Model B Rev 1.4\0") == (
        "Raspberry Pi 4 Model B Rev 1.4 (0x41/0xd08)"
    )
    assert cpu_of(BIG_LITTLE, "") == "ARM (0x41/0xd05, 0x41/0xd0a)"
    assert cpu_of("model name\t: AMD EPYC\nmodel name\t: AMD EPYC\n", "") == "AMD EPYC"
    assert cpu_of("", "") == ""


def test_a_model_of_another_version_is_refused_or_accepted(
    macs_model: LatencyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    device = open_device(runtime="macs")
    check_device(macs_model, device)
    older = replace(macs_model, device=replace(macs_model.device, version="0"))
    with pytest.raises(UsageError, match=r"with macs 0, and local has 1: .* --accept-version"):
        check_device(older, device)
    check_device(older, device, accept_version=True)
    assert "calibrated with macs 0, and local has 1" in capsys.readouterr().err
    elsewhere = replace(macs_model, device=replace(macs_model.device, cpu="Cortex-A72"))
    with pytest.raises(BneckError, match=r"calibrated on \[Cortex-A72, .* and this is \["):
        check_device(elsewhere, device, accept_version=True)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("phone", "unknown target device 'phone'"),
        ("table:x.csv", r"no such file: x\.csv"),
        ("ssh:", "'ssh:' names no device; expected ssh:NAME"),
    ],
)
def test_a_derivation_needs_a_device_or_a_table(word: str, message: str) -> None:
    check_device_word("local")
    check_device_word("ssh:pi@board")
    with pytest.raises(UsageError, match=message):
        check_device_word(word)
