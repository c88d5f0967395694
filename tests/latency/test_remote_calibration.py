import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bneck.errors import BneckError, UsageError
from bneck.latency import remote_calibration
from bneck.latency.measurements import read
from bneck.latency.model import load
from bneck.latency.remote_calibration import (
    add_to_kit,
    read_measurements,
    write_kit,
)
from bneck.space import codec, spaces


def test_a_kit_has_one_reference_and_so_one_side_and_class_count(tmp_path: Path) -> None:
    for other in ({"resolution_px": 64}, {"classes": 4}):
        both = [
            spaces.build("v3-small", **{"resolution_px": 32, "classes": 3, **changed})
            for changed in ({}, other)
        ]
        with pytest.raises(UsageError, match=r"needs spaces of one (input side|class count), got"):
            write_kit(both, tmp_path / "kit")
    assert not (tmp_path / "kit").exists()


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
    of_it = {"kit": json.loads((folder / "kit.json").read_text())["kit"]}
    (folder / "measurements.json").write_text(json.dumps(of_it))
    whole = files()
    for _ in range(2):  # over a kit, and over one that was interrupted
        with pytest.raises(KeyboardInterrupt):
            write_kit([space], folder, progress=interrupt)
        assert not (folder / "kit.json").exists()
    write_kit([space], folder)
    assert files() == whole
    (folder / "kit.json").unlink()
    with pytest.raises(UsageError, match="holds no kit"):  # which would be another one
        add_to_kit(folder, space.decode(space.sample(0)), None, runtime="onnxruntime")
    (folder / "networks" / "mine.pt").touch()
    with pytest.raises(UsageError, match="holds no kit"):
        write_kit([space], folder)


def test_no_kit_is_written_over_one_that_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its measurements would be refused, here and on the device, as those of another kit."""
    monkeypatch.setattr(remote_calibration, "NETWORKS", 2)
    folder, space = tmp_path / "kit", spaces.build("v3-small", resolution_px=32, classes=10)
    write_kit([space], folder)
    of_it = {"kit": json.loads((folder / "kit.json").read_text())["kit"]}
    (folder / "measurements.json").write_text(json.dumps(of_it))
    before = (folder / "kit.json").read_bytes()
    for other in ({"seed": 1}, {"batch_size": 2}):
        with pytest.raises(UsageError, match=r"measurements\.json was measured with another kit: "):
            write_kit([space], folder, **other)
    assert (folder / "kit.json").read_bytes() == before
    write_kit([space], folder)
    assert (folder / "kit.json").read_bytes() == before


def test_a_kit_that_is_written_again_keeps_the_networks_that_were_added_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A derivation adds its network once, and would wait for its measurement for ever."""
    monkeypatch.setattr(remote_calibration, "NETWORKS", 2)
    folder, space = tmp_path / "kit", spaces.build("v3-small", resolution_px=32, classes=10)
    write_kit([space], folder)
    add_to_kit(folder, space.decode(space.sample(0)), None, runtime="onnxruntime")
    with_final = (folder / "kit.json").read_bytes()

    def interrupt(what: str, done: int, whole: int, *more: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_kit([space], folder, progress=interrupt)
    assert (folder / "kit.json").read_bytes() == with_final
    write_kit([space], folder)
    assert (folder / "kit.json").read_bytes() == with_final
    with pytest.raises(UsageError, match="is another kit, which a network was added to: name"):
        write_kit([space], folder, seed=1)
    assert (folder / "kit.json").read_bytes() == with_final


def test_a_second_process_does_not_write_the_same_kit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_calibration, "NETWORKS", 2)
    folder, space = tmp_path / "kit", spaces.build("v3-small", resolution_px=32, classes=10)
    refusals = []

    def second(*_: object) -> None:
        if not refusals:
            with pytest.raises(
                UsageError, match=r"another process is at work on .*kit\.json"
            ) as no:
                write_kit([space], folder)
            refusals.append(no)

    write_kit([space], folder, progress=second)
    assert refusals
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


def test_a_model_of_any_times_that_are_taken_can_be_read_again(
    measured: dict[str, object], tmp_path: Path
) -> None:
    items = measured["items"]
    assert isinstance(items, list)
    for item in items:
        item["ratio"], item["reference_ms"] = 1e9, 1.0
    (tmp_path / "measurements.json").write_text(json.dumps(measured))
    model = read_measurements(tmp_path / "measurements.json")
    model.save(tmp_path / "latency.json")
    assert load(tmp_path / "latency.json").coefficients == model.coefficients


def test_what_lacks_is_said_by_what_a_timing_is_for(
    measured: dict[str, object], tmp_path: Path
) -> None:
    """45 timings of a kit are no 45 networks to fit: some are held out, and some repeat those."""
    items = measured["items"]
    assert isinstance(items, list)
    of_kind = {kind: [i for i in items if i["name"].startswith(kind)] for kind in ("fit", "held")}
    measured["items"] = [*of_kind["fit"][:39], *of_kind["held"][:6]]
    (tmp_path / "measurements.json").write_text(json.dumps(measured))
    with pytest.raises(BneckError, match="timed: 39 to fit and 6 to validate by, where 40 and 1 "):
        read_measurements(tmp_path / "measurements.json")


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
