"""What is made of what a phone tells, without one: ``Answers`` gives it."""

import re
import shutil

import pytest

pytest.importorskip("ai_edge_litert", reason="pip install 'bneck[litert]'")

from bneck.latency.devices import adb, open_device
from bneck.latency.devices.adb import AdbDevice


class Answers:
    """A phone that answers each command by a word in it."""

    def __init__(self, **by_word: str) -> None:
        self.by_word = by_word
        self.commands: list[str] = []

    def find(self) -> None:
        pass

    def shell(self, command: str) -> str:
        self.commands.append(command)
        return next((said for word, said in self.by_word.items() if word in command), "")

    def run(self, command: str) -> tuple[int, str]:
        return 0, self.shell(command)


@pytest.fixture
def lone(monkeypatch: pytest.MonkeyPatch) -> AdbDevice:
    """A device whose phone is not reached."""
    monkeypatch.setattr(shutil, "which", lambda name: name)
    device = open_device("adb:", runtime="litert")
    assert isinstance(device, AdbDevice)
    return device


@pytest.mark.parametrize(("threads", "mask"), [(1, "80"), (2, "c0"), (5, "f8")])
def test_networks_run_on_the_fastest_cores_and_of_equal_ones_on_the_last(
    lone: AdbDevice, threads: int, mask: str
) -> None:
    """Four small cores, three large ones and the prime one, as in a Pixel 8's nine or so."""
    kilohertz = [1800000] * 4 + [2400000] * 3 + [2900000]
    cores = "".join(f"{core} {khz}\n" for core, khz in enumerate(kilohertz))
    lone.phone = Answers(
        ls="yes", cpuinfo_max_freq=f"{cores}sh: no such\n", md5sum="0123456789abcdef"
    )
    lone.threads = threads
    about = lone.fingerprint()
    assert lone.cores == mask
    assert (about.cores, about.version) == (8, "0123456789ab")


def test_a_phone_is_asked_for_what_was_asked_of_its_device(lone: AdbDevice) -> None:
    device = open_device("adb:", runtime="litert", threads=4, batch_size=3)
    assert isinstance(device, AdbDevice)
    cores = "".join(f"{core} 1800000\n" for core in range(8))
    device.phone = phone = Answers(cpuinfo_max_freq=cores, graph="count=9 curr=12(all same)")
    about = device.fingerprint()
    assert (about.threads, about.batch_size, device.runtime.batch_size) == (4, 3, 3)
    device._chunk_ns("a.tflite")
    assert re.match("taskset f0 .* --graph=a.tflite --num_threads=4 ", phone.commands[-1])


def test_a_hot_phone_rests_three_times_and_counts_as_slower_then(
    lone: AdbDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of 100 ns and then of 109, 111 (rest), 105, 111 (three rests and no more), 120."""
    rests: list[float] = []
    monkeypatch.setattr(adb.time, "sleep", rests.append)
    found = []
    for chunk in (100.0, 109.0, 111.0, 105.0, 111.0, 111.0, 111.0, 111.0, 111.0, 120.0):
        monkeypatch.setattr(lone, "_chunk_ns", lambda file, chunk=chunk: chunk)
        before = len(rests)
        lone._reference_chunk_ns("")
        found.append(len(rests) - before)
    assert found == [0, 0, 1, 0, 1, 1, 1, 0, 0, 0]
    assert {*rests} == {adb.COOLING_S}


def test_another_reference_is_no_slower_phone(
    lone: AdbDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target may name a network at another side, whose reference takes longer."""
    rests: list[float] = []
    monkeypatch.setattr(adb.time, "sleep", rests.append)
    monkeypatch.setattr(lone, "_chunk_ns", lambda file: {"32 px": 100.0, "64 px": 300.0}[file])
    for file in ("32 px", "64 px", "64 px", "32 px"):
        lone._reference_chunk_ns(file)
    assert not rests


@pytest.mark.parametrize(("chunks", "slowed"), [([88.0, 104.0], False), ([119.0] * 3, True)])
def test_single_chunks_tell_nothing_of_heat(
    lone: AdbDevice, monkeypatch: pytest.MonkeyPatch, chunks: list[float], slowed: bool
) -> None:
    """One that was 12 % shorter and a last one that is 4 % longer are 18 % apart."""
    monkeypatch.setattr(adb.time, "sleep", lambda seconds: None)
    watch = lone.watch()
    for chunk in (100.0, 101.0, 99.0, 100.0, 98.0, *chunks):
        monkeypatch.setattr(lone, "_chunk_ns", lambda file, chunk=chunk: chunk)
        lone._reference_chunk_ns("")
    assert watch().quiet is not slowed


@pytest.mark.parametrize(
    ("told", "ns"),
    [
        ("count=50 first=4931 curr=4871 min=4852 max=5011 avg=4886.04 std=33", 4886040),
        ("count=9 first=1 curr=2 min=1 max=3 avg=1.2e+06 std=3 p5=1 median=1250000 p95=2", 1.25e9),
        ("count=10 curr=12(all same)", 12000),
        ("count=10 curr=12(all same) p5=12 median=12 p95=12", 12000),
    ],
)
def test_the_figures_of_benchmark_model(lone: AdbDevice, told: str, ns: float) -> None:
    """As StatWithPercentiles of TensorFlow's stats_calculator.h writes them, after a warm-up's."""
    lone.phone = Answers(graph=f"INFO: count=3 first=9 curr=8 min=7 max=9 avg=8 std=1\n{told}\n")
    assert lone._chunk_ns("") == pytest.approx(ns)
