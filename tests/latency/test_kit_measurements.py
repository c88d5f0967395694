"""What a kit has measured, read back, and what is refused of it."""

import json
from pathlib import Path

import pytest

from bneck.cli import run
from bneck.errors import BneckError, UsageError
from bneck.latency.kit import add_to_kit
from bneck.latency.kit_content import FORMAT
from bneck.latency.kit_measurements import measured_by_kit, read_measurements
from bneck.latency.measurements import read
from bneck.latency.model import load
from bneck.space import codec, presets


@pytest.fixture
def measured(macs_folder: Path) -> dict[str, object]:
    """What a kit would have written of the timings of a calibration by multiply-adds."""
    header, items, _ = read(macs_folder / "measurements.jsonl")
    text = (macs_folder / "measurements.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()[1 : 1 + len(items)]]
    assert codec.to_json(items[0].arch) == lines[0]["arch"]
    return {"format": FORMAT, "device": header["device"], "kit": "x", "items": lines}


def test_measurements_become_a_model(measured: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "measurements.json"
    path.write_text(json.dumps(measured))
    assert read_measurements(path).report.mape_percent < 0.5


def test_timings_of_an_earlier_version_had_their_core_alone(
    measured: dict[str, object], tmp_path: Path
) -> None:
    """They did not say what share of the time they had it."""
    items = measured["items"]
    assert isinstance(items, list)
    del items[1]["core_share"]
    path = tmp_path / "measurements.json"
    path.write_text(json.dumps(measured))
    assert measured_by_kit(path)[1][1].timing.core_share == 1.0


def test_what_kept_the_device_busy_is_told_by_the_seconds_of_each_network(
    measured: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kits of earlier versions did not note it."""
    path, items = tmp_path / "measurements.json", measured["items"]
    assert isinstance(items, list)
    path.write_text(json.dumps(measured))
    assert read_measurements(path).report.busy == ""
    for item in items:
        item["seconds"], item["load"] = 1.0, {"other_cores": 0.0, "stolen": 0.0}
    items[0]["seconds"] = 3.0 * (len(items) - 1)
    items[0]["load"] = {"other_cores": 2.0, "stolen": 0.01}
    path.write_text(json.dumps(measured))
    out = tmp_path / "latency.json"
    assert run(["calibrate", f"--from={path}", f"--out={out}"]) == 0
    assert load(out).report.busy == "other programs used 1.5 cores"
    doubt = "warning: other programs used 1.5 cores during the calibration: "
    assert doubt in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("load", {"other_cores": -1.0, "stolen": 0.0}, "1: other_cores must not be negative"),
        ("load", {"other_cores": 1.0, "stolen": -0.1}, "1: stolen must not be negative"),
        ("load", [0.0, 0.0, 0.0], "measurement 1: Load"),
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
        ("name", 3, "measurement 1: name must be text, got 3"),
        ("name", "mine", "measurement 1: unknown kind of measurement 'mine'; known: fit"),
        ("reference_ms", 500.0, "measurement 1: the reference took 500 ms, and 0.* ms in others"),
        ("reference_ms", 1e-6, "measurement 1: the reference took 1e-06 ms, and 0.* ms in others"),
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


def test_networks_of_another_class_count_are_not_mixed_in(
    measured: dict[str, object], tmp_path: Path
) -> None:
    """Their ratios are to another reference."""
    items = measured["items"]
    assert isinstance(items, list)
    items[1]["arch"] = {**items[1]["arch"], "classes": 7}
    path = tmp_path / "measurements.json"
    path.write_text(json.dumps(measured))
    with pytest.raises(UsageError, match="the measurements are of several class counts: 7 and 10"):
        read_measurements(path)


@pytest.mark.parametrize(
    ("name", "value"), [("cores", -4), ("threads", 0), ("batch_size", 0), ("batch_size", 1.5)]
)
def test_a_device_that_cannot_be_is_named(
    measured: dict[str, object], tmp_path: Path, name: str, value: float
) -> None:
    device = measured["device"]
    assert isinstance(device, dict)
    device[name] = value
    path = tmp_path / "measurements.json"
    path.write_text(json.dumps(measured))
    with pytest.raises(UsageError, match=rf"{name}.* must be a whole number.*, got {value}"):
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
    with pytest.raises(
        BneckError, match="timed: 39 to fit and 6 to validate by, where 40 and 1 "
    ) as said:
        read_measurements(tmp_path / "measurements.json")
    assert str(said.value).endswith("measure for longer (a kit's measure.py goes on where it was)")


def test_the_kit_itself_is_not_what_it_measured(tmp_path: Path) -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=3)
    add_to_kit(tmp_path / "kit", arch, None, runtime="onnxruntime")
    with pytest.raises(UsageError, match=r"kit\.json is not a kit's measurements\.json"):
        read_measurements(tmp_path / "kit" / "kit.json")


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
    unwritable = {**whole, "seconds": float("nan")}
    for networks in ([entry], [whole, entry], [{**whole, "arch": {}}], [unwritable]):
        kit = {"kit": "x", "runtime": "onnxruntime", "networks": networks}
        (tmp_path / "kit.json").write_text(json.dumps(kit))
        with pytest.raises(UsageError, match=r"kit\.json is not what `bneck latency kit` writes"):
            add_to_kit(tmp_path, arch, None, runtime="onnxruntime")
