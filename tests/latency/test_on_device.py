"""The script that a kit carries, and that is sent over a connection."""

import ast
import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from onnx import TensorProto

from bneck.latency import kit_content, timing
from bneck.latency.devices import Graph, local
from bneck.latency.devices.remote import file_of
from bneck.latency.kit import add_to_kit
from bneck.latency.kit_measurements import measured_by_kit
from bneck.latency.runtimes import PORTABLE, open_runtime
from bneck.latency.timing import Effort, compare
from bneck.machine import cpu_of
from bneck.space import presets
from tests.latency.test_devices import BIG_LITTLE, PI_4
from tests.latency.test_onnx_graph import convolution
from tests.latency.test_timing import Machine
from tests.processes import threads_begun_by

SCRIPT = files("bneck.latency").joinpath("on_device", "measure.py")


def on_device() -> ModuleType:
    spec = importlib.util.spec_from_file_location("on_device_measure", str(SCRIPT))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_speaks_python_3_9_and_needs_numpy_and_a_runtime() -> None:
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 9))
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names == {"numpy", "onnxruntime", "ai_edge_litert"}


def unrest(strength: float) -> Callable[[float], float]:
    """A pace that wavers, in the same way each time that it is made."""
    turns = iter(range(10**9))
    return lambda now: 1.0 + strength * (next(turns) * 7919 % 13) / 13


def test_the_script_times_as_we_do() -> None:
    def drift(now: float) -> float:
        return 1.0 + now / 3e9

    ours, theirs = Machine(), Machine()
    a = compare(ours.run(5.0, drift), ours.run(2.0, drift), Effort(max_pairs=8), clock=ours.clock)
    b = on_device().compare(theirs.run(5.0, drift), theirs.run(2.0, drift), theirs.clock)
    assert b["ratio"] == pytest.approx(a.ratio, rel=0.01)
    assert set(b) == set(a.__slots__)
    script = on_device()
    effort = Effort(script.WANTED, script.FEW_PAIRS, script.MANY_PAIRS)
    assert effort == Effort(0.01, 4, 8)
    for strength in (0.0, 0.01, 0.3):  # quiet at once, after some pairs, never
        ours, theirs = Machine(), Machine()
        runs, others = (
            [machine.run(ms, unrest(strength)) for ms in (5.0, 2.0)] for machine in (ours, theirs)
        )
        a = compare(*runs, effort, clock=ours.clock)
        b = script.compare(*others, theirs.clock)
        for name in ("ratio", "spread", "reference_ms", "reference_spread", "pairs", "quiet"):
            assert b[name] == pytest.approx(getattr(a, name))
    for name in ("CHUNK_NS", "MIN_RUNS", "MAX_RUNS", "DROPPED", "FEW_VALUES"):
        assert getattr(on_device(), name) == getattr(timing, name)
    assert on_device().REFERENCE_SERVES == local.REFERENCE_SERVES
    assert on_device().FINAL == kit_content.FINAL
    assert {word: on_device().package(word) for word in PORTABLE} == PORTABLE


def test_what_comes_over_a_connection_is_timed_as_it_asks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two to five pairs, of which two are enough where any spread is, and five where none is."""
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=3)
    model = zlib.compress(file_of(Graph(arch.layers()), open_runtime("onnxruntime")))
    sent = io.BytesIO()

    def send(request: dict[str, object], content: bytes = b"") -> None:
        sent.write(json.dumps(request).encode() + b"\n" + content)

    send({"runtime": "onnxruntime", "threads": 2, "batch_size": 3})
    send({"size": len(model), "reference": True}, model)
    for wanted in (1e9, -1.0):
        asked = {"pairs": [2, 5], "wanted": wanted}
        send({"size": len(model), "reference": False, **asked}, model)
    sent.seek(0)
    on_device().serve(sent)
    lines = filter(None, capsys.readouterr().out.splitlines())
    about, ready, *found = map(json.loads, lines)
    assert (about["threads"], about["batch_size"], ready) == (2, 3, {})
    assert [(one["pairs"], one["quiet"]) for one in found] == [(2, True), (5, False)]


def test_a_core_that_the_runs_did_not_have_is_told() -> None:
    """Runs that wait for 2 ms and compute nothing had theirs for next to none of the time."""

    def idle() -> None:
        time.sleep(0.002)

    found = on_device().compare(idle, idle, time.perf_counter_ns, (2, 2))
    assert found["core_share"] < 0.5


@pytest.mark.parametrize("word", ["onnxruntime", "litert"])
def test_the_script_runs_a_network_by_as_many_threads_as_it_is_asked_for(word: str) -> None:
    if word == "litert":
        pytest.importorskip("ai_edge_litert", reason="pip install 'bneck[litert]'")
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    model, script = file_of(Graph(arch.layers()), open_runtime(word)), on_device()
    assert threads_begun_by(lambda: script.opened(model, word, 1)) == 0
    assert threads_begun_by(lambda: script.opened(model, word, 4)) == 3


@pytest.mark.parametrize("cpuinfo", [PI_4, BIG_LITTLE, "model name\t: AMD EPYC\n", ""])
@pytest.mark.parametrize("board", ["Raspberry Pi 4 Model B Rev 1.4\0", ""])
def test_the_script_names_a_device_as_we_do(cpuinfo: str, board: str) -> None:
    assert on_device().cpu_of(cpuinfo, board) == cpu_of(cpuinfo, board)


def test_the_script_reads_the_kernels_counters_as_we_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 + 20 + 30 + 6 + 7 ticks were used and 80 stolen, of 10 a second; 2.5 s were its own."""
    script = on_device()
    monkeypatch.setattr(
        script, "text_of", lambda path: "cpu  100 20 30 4000 500 6 7 80 9 1\ncpu0 1 2\n"
    )
    monkeypatch.setattr(os, "sysconf", lambda name: 10)
    monkeypatch.setattr(os, "times", lambda: SimpleNamespace(user=2.0, system=0.5))
    assert script.busy()[1:] == pytest.approx([16.3 - 2.5, 8.0])
    monkeypatch.setattr(script, "text_of", lambda path: "")
    assert script.busy()[1:] == [0.0, 0.0]
    monkeypatch.setattr(script, "busy", lambda: [12.0, 8.0, 3.0])
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    load = script.load_since([10.0, 5.0, 1.0])
    assert load == {"other_cores": 1.5, "stolen": 0.25}


def test_a_final_networks_reference_is_prepared_as_often_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the weights of either lie in memory moves the ratio: its spread must show both."""
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=3)
    add_to_kit(tmp_path, arch, None, runtime="onnxruntime")
    script, prepared = on_device(), []
    real = script.prepare
    monkeypatch.setattr(script, "HERE", str(tmp_path))
    monkeypatch.setattr(script, "TARGET", str(tmp_path / "measurements.json"))
    monkeypatch.setattr(
        script, "prepare", lambda name, *to: prepared.append(name) or real(name, *to)
    )
    monkeypatch.setattr(sys, "argv", ["measure.py"])
    script.main()
    assert prepared[0::2] == ["reference.z"] * 5
    assert len({*prepared[1::2]}) == 1
    assert len(measured_by_kit(tmp_path / "measurements.json")[1]) == 5


def test_a_kits_networks_are_timed_in_order_each_tenth_against_a_fresh_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, prepared = on_device(), []
    monkeypatch.setattr(script, "HERE", str(tmp_path))
    monkeypatch.setattr(script, "TARGET", str(tmp_path / "measurements.json"))
    monkeypatch.setattr(
        script, "prepare", lambda name, *_: prepared.append(name) or (lambda: sum(range(100)))
    )
    monkeypatch.setattr(sys, "argv", ["measure.py"])
    networks = [{"name": f"fit {n}", "file": f"{n}.z", "arch": {"a": n}} for n in range(21)]
    kit = {"format": "", "kit": "a", "runtime": "onnxruntime", "networks": networks}
    (tmp_path / "kit.json").write_text(json.dumps(kit))
    script.main()
    files = [f"{n}.z" for n in range(21)]
    again = ["reference.z"]
    assert prepared == again + files[:10] + again + files[10:20] + again + files[20:]
    items = json.loads((tmp_path / "measurements.json").read_text())["items"]
    assert [(one["name"], one["arch"]) for one in items] == [
        (one["name"], one["arch"]) for one in networks
    ]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_a_signal_in_one_line_and_resumes(tmp_path: Path, sent: signal.Signals) -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=3)
    add_to_kit(tmp_path, arch, None, runtime="onnxruntime")
    command = [sys.executable, str(tmp_path / "measure.py")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as script:
        assert script.stderr is not None
        assert script.stderr.readline().startswith("1 of 5: ")
        script.send_signal(sent)
        said = [line for line in script.stderr.read().splitlines() if " of 5: " not in line]
    assert said == ["stopped; started again, it resumes"]
    assert script.returncode == 128 + sent
    assert measured_by_kit(tmp_path / "measurements.json")[1]


def test_it_says_how_many_networks_are_left(tmp_path: Path) -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=3)
    add_to_kit(tmp_path, arch, None, runtime="onnxruntime")
    command = [sys.executable, str(tmp_path / "measure.py"), "--minutes"]
    place = tmp_path / "measurements.json"
    for minutes, said in (("1e-9", "1 network; 4 left, which"), ("1", "5 networks\n")):
        done = subprocess.run([*command, minutes], check=True, capture_output=True, text=True)
        assert done.stdout.startswith(f"{place}: {said}")


def test_timings_of_other_threads_are_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = on_device()
    monkeypatch.setattr(script, "TARGET", str(tmp_path / "measurements.json"))
    kit, device = {"format": "", "kit": "a"}, {"threads": 1}
    earlier = {**kit, "device": device, "items": [{"name": "fit 0"}]}
    script.write(earlier)
    assert script.begun(kit, device) == earlier
    for others in (({**kit, "kit": "b"}, device), (kit, {"threads": 2})):
        with pytest.raises(SystemExit, match="with another kit, device or thread count"):
            script.begun(*others)


def test_what_differs_from_an_earlier_part_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the runtime was upgraded between two parts of a kit's minutes."""
    script = on_device()
    monkeypatch.setattr(script, "TARGET", str(tmp_path / "measurements.json"))
    kit = {"format": "bneck-measurements-1", "kit": "ours", "networks": []}
    device = {"cpu": "a board", "cores": 4, "version": "1.20.1", "threads": 1}
    script.write(script.begun(kit, device))
    assert script.begun(kit, device)["device"] == device
    for other, said in (
        ({"version": "1.21.0"}, "version 1.20.1, not 1.21.0"),
        ({"cores": 2, "threads": 4}, "cores 4, not 2; threads 1, not 4"),
    ):
        with pytest.raises(SystemExit, match=f"thread count: {re.escape(said)}$"):
            script.begun(kit, {**device, **other})
    with pytest.raises(SystemExit, match=r"thread count: kit ours, not theirs$"):
        script.begun({**kit, "kit": "theirs"}, device)


def test_what_was_measured_stays_until_its_successor_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, file = on_device(), tmp_path / "measurements.json"
    monkeypatch.setattr(script, "TARGET", str(file))
    script.write({"items": [1]})
    with pytest.raises(TypeError):
        script.write({"items": [1, 2, object()]})  # as where it is killed in the middle
    assert json.loads(file.read_text()) == {"items": [1]}


def test_mistakes_on_the_device_are_one_line(tmp_path: Path) -> None:
    script = tmp_path / "measure.py"
    script.write_bytes(SCRIPT.read_bytes())

    def said(*options: str) -> str:
        command = [sys.executable, "-I", *options, str(script)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        return done.stderr

    assert "No such file or directory: " in said()
    for kit in ("[]", "{", ""):
        (tmp_path / "kit.json").write_text(kit)
        assert said().startswith(f"{tmp_path / 'kit.json'} is damaged: copy it again")
    kit = json.dumps({"runtime": "onnxruntime-int8", "networks": [], "format": "", "kit": ""})
    (tmp_path / "kit.json").write_text(kit, encoding="utf-8-sig")  # as an editor leaves it
    assert said("-S") == "No module named 'onnxruntime'; pip install numpy onnxruntime\n"
    for measured in ("3", "{}"):
        (tmp_path / "measurements.json").write_text(measured)
        assert said().startswith(f"{tmp_path / 'measurements.json'} is damaged: copy it again")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zlib.compress(bytes(10**4))[:20], r"/networks/\S+\.z is damaged: copy the kit again\n$"),
        (zlib.compress(b"of a later time"), r"^onnxruntime cannot run \S+\.z: .*protobuf.*\n$"),
    ],
)
def test_a_network_that_does_not_run_there_is_one_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    """One that a full disk cut off, or a runtime that is too old for it."""
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=3)
    add_to_kit(tmp_path, arch, None, runtime="onnxruntime")
    (file,) = (tmp_path / "networks").glob("final*.z")
    file.write_bytes(content)
    command = [sys.executable, str(tmp_path / "measure.py")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert re.search(message, done.stderr)


def test_a_runtime_that_fails_without_a_word_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python does where memory runs out."""
    script = on_device()
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "a.z").write_bytes(zlib.compress(b""))
    monkeypatch.setattr(script, "HERE", str(tmp_path))

    def full(model: bytes, threads: int) -> None:
        raise MemoryError

    monkeypatch.setattr(script, "onnx", full)
    with pytest.raises(SystemExit, match=r"^onnxruntime cannot run .*a\.z: MemoryError$"):
        script.prepare("a.z", "onnxruntime", 1)


@pytest.mark.parametrize("kind", ["FLOAT", "FLOAT16", "DOUBLE", "UINT8", "INT8"])
def test_other_devices_take_the_same_numbers(tmp_path: Path, kind: str) -> None:
    """What the script on the device computes of its input is what is computed here."""
    model = convolution(
        tmp_path / "a.onnx", [1, 3, 16, 16], getattr(TensorProto, kind)
    ).read_bytes()
    here, there = open_runtime("onnxruntime").prepare_onnx(model), on_device().onnx(model, 1)
    np.testing.assert_array_equal(there()[0], here())


def test_what_no_device_takes_is_named(tmp_path: Path) -> None:
    model = convolution(tmp_path / "a.onnx", [1, 3, 16, 16], TensorProto.INT32).read_bytes()
    with pytest.raises(
        ValueError, match=r"^input 'x' is tensor\(int32\); known: tensor\(float\), "
    ):
        on_device().onnx(model, 1)
