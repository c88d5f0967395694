"""A phone over the system's own adb: a server on the loopback plays its side, as none was at hand.

Its ``benchmark_model`` is a script that answers by the size of the network's file.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ai_edge_litert", reason="pip install 'bneck[litert]'")

from bneck.errors import BneckError, UsageError
from bneck.latency.devices import Graph, adb, adb_client, check_device_word, open_device
from bneck.latency.devices.adb import AdbDevice
from bneck.latency.measure import measure, reference
from bneck.latency.timing import Effort
from bneck.machine import cpu_of
from bneck.space import presets
from tests.latency.devices.phone import Phones

SMALL = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=10)
LARGE = presets.build("mobilenet_v3_large", resolution_px=32, classes=10)
SHORT = Effort(wanted=0.05, min_pairs=2, max_pairs=4)
BENCHMARK_MODEL = """#!/bin/sh
[ "$1" = --help ] && exit 0
for word; do case $word in --graph=*) graph=${word#--graph=};; esac; done
echo "INFO: Loaded model $graph" >&2
size=$(wc -c < $graph); factor=$(cat factor 2>/dev/null || echo 1)
echo "INFO: count=3 first=9e9 curr=1 min=1 max=9e9 avg=9e9 std=0 p5=1 median=1 p95=1"
time=$((size * factor))
echo "INFO: count=10 first=$time curr=1 min=1 max=1 avg=1.0e+06 std=0 p5=1 median=$time p95=1"
echo "INFO: Inference timings in us: Init: 1, First inference: 1, Inference (avg): 1"
"""


@pytest.fixture
def phones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Phones]:
    if shutil.which("adb") is None:
        pytest.skip("no adb here: apt-get install adb")
    for module, name in ((adb, "PAUSE_S"), (adb, "COOLING_S"), (adb_client, "WAIT_S")):
        monkeypatch.setattr(module, name, 0.0)
    binary = tmp_path / "phone" / "benchmark_model"
    binary.parent.mkdir()
    binary.write_text(BENCHMARK_MODEL)
    binary.chmod(0o755)
    tool = tmp_path / "bin" / "getprop"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\ncase $1 in *cpu.abi) echo arm64-v8a;; *) echo Pixel 8;; esac\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    found = Phones(binary.parent, "R58M12")
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(found.port))
    yield found
    found.close()


def opened(word: str = "adb:") -> AdbDevice:
    device = open_device(word, runtime="litert")
    assert isinstance(device, AdbDevice)
    return device


def test_a_network_is_pushed_timed_on_the_fastest_core_and_removed(phones: Phones) -> None:
    device = opened()
    about = device.fingerprint()
    assert about.cpu == cpu_of(Path("/proc/cpuinfo").read_text(), "Pixel 8")
    assert (about.runtime, about.threads) == ("litert", 1)
    assert re.fullmatch("[0-9a-f]{12}", about.version)
    graphs = [Graph(SMALL.layers()), Graph(LARGE.layers())]
    small, large = (timing for timing, _ in device.time(graphs, reference(32, 10), SHORT))
    files = [len(adb.file_of(graph, device.runtime)) for graph in (*graphs, reference(32, 10))]
    assert small.ratio == pytest.approx(files[0] / files[2])
    assert large.ratio == pytest.approx(files[1] / files[2])
    assert large.reference_ms == pytest.approx(files[2] / 1000)
    assert len(list((phones.folder / "bneck").glob("*.tflite"))) == 1  # the reference
    run = next(one for one in phones.commands if "--graph" in one)
    assert re.match(r"taskset [1-9a-f]0*[0-9a-f]* /data/local/tmp/benchmark_model --graph=", run)
    assert "--num_threads=1" in run
    check_device_word("adb:")


def test_a_phone_that_throttles_is_said(phones: Phones) -> None:
    device = opened()
    factor = phones.folder / "factor"
    watch = device.watch()
    for times in ("1", "2"):
        factor.write_text(times)
        list(device.time([Graph(SMALL.layers())], reference(32, 10), SHORT))
    assert str(watch()) == "the device became 100 % slower, as those do that throttle"
    assert not watch().quiet
    factor.write_text("1")
    assert measure(SMALL, device).quiet


def test_unplugged_in_the_middle_the_same_command_resumes(phones: Phones) -> None:
    device = opened()
    times = device.time([Graph(SMALL.layers())] * 3, reference(32, 10), SHORT)
    first, _ = next(times)
    phones.serials.clear()
    with pytest.raises(BneckError, match=r"cannot be reached: .*R58M12' not found; plug it in and"):
        next(times)
    phones.serials.append("R58M12")
    ((again, _),) = opened().time([Graph(SMALL.layers())], reference(32, 10), SHORT)
    assert again.ratio == first.ratio
    phones.cut = True
    with pytest.raises(BneckError, match="cannot be reached"):
        list(device.time([Graph(SMALL.layers())], reference(32, 10), SHORT))


def test_a_benchmark_that_is_killed_gives_no_timing(phones: Phones) -> None:
    """Its warm-up's figures, which it had told by then, were taken for the network's."""
    killed = BENCHMARK_MODEL.replace("time=$((", "kill -9 $$; time=$((")
    (phones.folder / "benchmark_model").write_text(killed)
    with pytest.raises(BneckError, match=r"benchmark_model failed with exit code 137: "):
        list(opened().time([Graph(SMALL.layers())], reference(32, 10), SHORT))


@pytest.mark.parametrize("refusal", [b"No space left on device", b"Read-only file system", None])
def test_a_network_that_is_not_copied_whole_is_not_timed(
    phones: Phones, refusal: bytes | None
) -> None:
    """None: the connection ends in the middle. What is there of it is removed from the phone."""
    device, network = opened(), Graph(SMALL.layers())
    times = device.time([network] * 2, reference(32, 10), SHORT)
    first, _ = next(times)
    phones.refusals = [refusal]
    if refusal is None:  # tried again
        assert next(times)[0].ratio == first.ratio
        return
    phones.refusals *= adb_client.TRIES
    with pytest.raises(BneckError, match=r"storage is full|does not take a file") as raised:
        next(times)
    assert refusal.decode() in str(raised.value)
    assert len(list((phones.folder / "bneck").glob("*.tflite"))) == 1  # the reference


@pytest.mark.parametrize("state", ["offline", "recovery", "no permissions (user in plugdev group)"])
def test_a_phone_that_cannot_be_used_is_said(phones: Phones, state: str) -> None:
    phones.state = state
    with pytest.raises(BneckError) as raised:
        opened().fingerprint()
    assert str(raised.value) == f"R58M12 is connected and cannot be used: adb calls it {state}"


def test_which_phone_and_which_binary_is_meant(phones: Phones, tmp_path: Path) -> None:
    with pytest.raises(BneckError, match="no phone 'X1' is connected; connected: R58M12"):
        opened("adb:X1").fingerprint()
    phones.serials.append("emulator-5554")
    with pytest.raises(UsageError, match=r"2 phones are connected: name one, as adb:R58M12"):
        opened().fingerprint()
    assert opened("adb:emulator-5554").fingerprint()
    phones.serials.clear()
    with pytest.raises(BneckError, match="no phone is connected"):
        opened().fingerprint()
    phones.serials.append("R58M12")
    with pytest.raises(BneckError, match="no /no/such on the phone or here: download"):
        opened("adb:/no/such").fingerprint()
    own = tmp_path / "benchmark_model_aarch64"
    own.write_text(BENCHMARK_MODEL)
    device = opened(f"adb:R58M12{own}")
    assert device.fingerprint() == opened().fingerprint()  # the same binary, by its content
    assert device.binary == "/data/local/tmp/bneck/benchmark_model"
    shutil.rmtree(phones.folder / "bneck")
    (phones.folder / "benchmark_model").write_bytes(b"\x7fELF" + bytes(60))
    with pytest.raises(BneckError, match=r"does not run on this phone \(arm64-v8a\): .*ormat"):
        opened().fingerprint()
    (phones.folder / "benchmark_model").unlink()
    with pytest.raises(BneckError, match="no benchmark_model on the phone or here"):
        opened().fingerprint()


def test_what_no_phone_runs(phones: Phones, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="with --runtime litert or litert-int8, not with onnx"):
        open_device("adb:", runtime="onnxruntime")
    with pytest.raises(UsageError, match=r"expected adb:\[SERIAL\].*, got adb:a b"):
        opened("adb:a b")
    with pytest.raises(UsageError, match="cannot run ONNX files"):
        list(opened().time([Graph(onnx=b"x")], reference(32, 10), SHORT))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="there is no adb on this machine"):
        opened()
