import ast
import importlib.util
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bneck.errors import BneckError, UsageError
from bneck.latency import remote_calibration
from bneck.latency.measurements import read
from bneck.latency.remote_calibration import (
    add_to_kit,
    measured_by_kit,
    read_measurements,
    write_kit,
)
from bneck.latency.timing import Effort, compare
from bneck.space import codec, presets, spaces
from tests.latency.test_timing import Machine

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


def test_the_script_times_as_we_do() -> None:
    def drift(now: float) -> float:
        return 1.0 + now / 3e9

    ours, theirs = Machine(), Machine()
    a = compare(ours.run(5.0, drift), ours.run(2.0, drift), Effort(max_pairs=8), clock=ours.clock)
    b = on_device().compare(theirs.run(5.0, drift), theirs.run(2.0, drift), theirs.clock)
    assert b["ratio"] == pytest.approx(a.ratio, rel=0.01)
    assert set(b) == set(a.__slots__)


def test_a_kit_has_one_reference_and_so_one_side_and_class_count(tmp_path: Path) -> None:
    for other in ({"resolution_px": 64}, {"classes": 4}):
        both = [
            spaces.build("v3-small", **{"resolution_px": 32, "classes": 3, **changed})
            for changed in ({}, other)
        ]
        with pytest.raises(UsageError, match=r"needs spaces of one (input side|class count), got"):
            write_kit(both, tmp_path / "kit")
    assert not (tmp_path / "kit").exists()


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
    (tmp_path / "kit.json").write_text(kit)
    assert said("-S") == "No module named 'onnxruntime'; pip install numpy onnxruntime\n"
    for measured in ("3", "{}"):
        (tmp_path / "measurements.json").write_text(measured)
        assert said().startswith(f"{tmp_path / 'measurements.json'} is damaged: copy it again")


def test_a_kit_is_small_runs_alone_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_calibration, "NETWORKS", 6)
    folder = tmp_path / "kit"
    write_kit([spaces.build("v3-small", resolution_px=32, classes=10)], folder)
    sizes = {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert 330 * max(size for name, size in sizes.items() if name.endswith(".z")) < 60e6

    def run(minutes: str) -> list[str]:
        command = [sys.executable, "-I", str(folder / "measure.py"), "--minutes", minutes]
        subprocess.run(command, check=True, capture_output=True)
        items = json.loads((folder / "measurements.json").read_text())["items"]
        return [item["name"] for item in items]

    begun = run("0.0001")
    done = run("2")
    assert len(begun) < len(done) == 7
    assert done[: len(begun)] == begun
    content = json.loads((folder / "measurements.json").read_text())
    assert all(np.isfinite(item["ratio"]) and item["ratio"] > 0 for item in content["items"])
    assert content["device"]["runtime"] == "onnxruntime"
    with pytest.raises(BneckError, match="only 7 networks"):
        read_measurements(folder / "measurements.json")
    with pytest.raises(UsageError, match="holds no kit"):
        write_kit([spaces.build("v3-small", resolution_px=32)], tmp_path)


def test_a_kit_whose_writing_was_interrupted_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until all of its networks are there it has no kit.json, and so measures nothing."""
    monkeypatch.setattr(remote_calibration, "NETWORKS", 2)
    folder, space = tmp_path / "kit", spaces.build("v3-small", resolution_px=32, classes=10)

    def interrupt(what: str, done: int, whole: int, *more: object) -> None:
        if done == 1:
            raise KeyboardInterrupt

    def files() -> dict[str, bytes]:
        return {str(one): one.read_bytes() for one in folder.rglob("*") if one.is_file()}

    write_kit([space], folder)
    whole = files()
    for _ in range(2):  # over a kit, and over one that was interrupted
        with pytest.raises(KeyboardInterrupt):
            write_kit([space], folder, progress=interrupt)
        assert not (folder / "kit.json").exists()
    write_kit([space], folder)
    assert files() == whole
    (folder / "kit.json").unlink()
    (folder / "networks" / "mine.pt").touch()
    with pytest.raises(UsageError, match="holds no kit"):
        write_kit([space], folder)


@pytest.mark.parametrize("runtime", ["torch", "macs"])
def test_a_runtime_of_this_machine_is_refused_before_anything_is_written(
    tmp_path: Path, runtime: str
) -> None:
    space = spaces.build("v3-small", resolution_px=32, classes=10)
    with pytest.raises(UsageError, match=f"'{runtime}' runs on this machine only"):
        write_kit([space], tmp_path / "kit", runtime=runtime)
    assert not (tmp_path / "kit").exists()


def test_a_kit_for_litert_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ai_edge_litert", reason="pip install 'bneck[litert]'")
    monkeypatch.setattr(remote_calibration, "NETWORKS", 2)
    folder = tmp_path / "kit"
    space = spaces.build("v3-small", resolution_px=32, classes=10)
    write_kit([space], folder, runtime="litert")
    subprocess.run(
        [sys.executable, "-I", str(folder / "measure.py")], check=True, capture_output=True
    )
    content = json.loads((folder / "measurements.json").read_text())
    assert content["device"]["runtime"] == "litert"
    assert len(content["items"]) == 2


def test_a_held_out_network_stands_there_again_before_the_minutes_are_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_calibration, "NETWORKS", 9)
    monkeypatch.setattr(remote_calibration, "REPEATED_AFTER", 2)
    write_kit([spaces.build("v3-small", resolution_px=32, classes=10)], tmp_path / "kit")
    content = json.loads((tmp_path / "kit" / "kit.json").read_text())
    names = [item["name"] for item in content["networks"]]
    assert names[4:9] == ["held-out 4", "fit 5", "fit 6", "repeat 4", "fit 7"]
    assert len(names) == 10


@pytest.fixture
def measured(macs_folder: Path) -> dict[str, object]:
    header, items = read(macs_folder / "measurements.jsonl")
    text = (macs_folder / "measurements.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()[1:]]
    assert codec.to_json(items[0].arch) == lines[0]["arch"]
    return {
        "format": remote_calibration.FORMAT,
        "device": header["device"],
        "kit": "x",
        "items": lines,
    }


def test_measurements_become_a_model(measured: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "measurements.json"
    path.write_text(json.dumps(measured))
    assert read_measurements(path).report.mape_percent < 0.5


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ratio", -1.0, "measurement 1: ratio must be above 0"),
        ("ratio", float("nan"), "measurement 1: Timing.ratio must be a finite number"),
        ("ratio", "fast", "measurement 1: Timing.ratio must be a number"),
        ("spread", -0.1, "spread must not be negative"),
        ("reference_ms", 0, "reference_ms must be above 0"),
        ("reference_ms", 1e300, r"reference_ms must be a number from 0 to 1e\+09, got 1e\+300"),
        ("ratio", 1e300, r"ratio must be a number from 0 to 1e\+09, got 1e\+300"),
        ("ratio", 1e-300, "ratio x reference_ms must be a number from 1e-09 to"),
        ("spread", 1e300, "spread must be a number from 0 to"),
        ("seconds", -3.0, "seconds must not be negative"),
        ("seconds", 10**400, "seconds must be a finite number"),
        ("pairs", 0, "pairs must be above 0"),
        ("ratio", None, "ratio"),
        ("arch", {}, "measurement 1"),
        ("name", "fit 0", "'fit 0' was measured twice"),
    ],
)
def test_bad_measurements_are_named(
    measured: dict[str, object], tmp_path: Path, name: str, value: object, message: str
) -> None:
    items = measured["items"]
    assert isinstance(items, list)
    items[1][name] = value
    path = tmp_path / "measurements.json"
    path.write_text(json.dumps(measured))
    with pytest.raises(UsageError, match=message):
        read_measurements(path)


@pytest.mark.parametrize("name", ["ratio", "arch", "seconds"])
def test_missing_entries_are_named(measured: dict[str, object], tmp_path: Path, name: str) -> None:
    items = measured["items"]
    assert isinstance(items, list)
    del items[2][name]
    path = tmp_path / "measurements.json"
    path.write_text(json.dumps(measured))
    with pytest.raises(UsageError, match=f"measurement 2: .*'{name}'"):
        read_measurements(path)


@pytest.mark.parametrize("kit", ["[]", "3", '{"kit": "y"}'])
def test_measurements_beside_no_kit_of_theirs_are_refused(
    measured: dict[str, object], tmp_path: Path, kit: str
) -> None:
    path = tmp_path / "measurements.json"
    path.write_text(json.dumps(measured))
    (tmp_path / "kit.json").write_text(kit)
    with pytest.raises(UsageError, match="was measured with another kit"):
        read_measurements(path)


@pytest.mark.parametrize("entry", [{}, {"arch": None}, {"file": "a.z"}, 3])
def test_nothing_is_added_to_a_kit_that_makes_no_sense(
    measured: dict[str, object], tmp_path: Path, entry: object
) -> None:
    items = measured["items"]
    assert isinstance(items, list)
    arch = codec.from_json(items[0]["arch"])
    whole = {"file": "b.z", "arch": items[0]["arch"]}
    for networks in ([entry], [whole, entry], [{**whole, "arch": {}}]):
        kit = {"kit": "x", "runtime": "onnxruntime", "networks": networks}
        (tmp_path / "kit.json").write_text(json.dumps(kit))
        with pytest.raises(UsageError, match=r"kit\.json is not what `bneck latency kit` writes"):
            add_to_kit(tmp_path, arch, None, runtime="onnxruntime")
