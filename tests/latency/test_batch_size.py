"""Latencies of batches: what is timed, what a model holds for, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from bneck.cli import run
from bneck.derivation.plan import Plan
from bneck.derivation.session import planned_device
from bneck.errors import BneckError, UsageError
from bneck.latency import kit
from bneck.latency.calibration import calibrations
from bneck.latency.calibration.calibrate import calibrate
from bneck.latency.devices import Graph, open_device
from bneck.latency.devices.remote import file_of
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.kit import add_to_kit, write_kit
from bneck.latency.measure import measure
from bneck.latency.model import LatencyModel, load
from bneck.latency.runtimes import open_runtime
from bneck.latency.runtimes.macs import MacsRuntime
from bneck.latency.runtimes.weights import norm_free
from bneck.latency.warn import check_device
from bneck.space import presets, spaces
from bneck.space.backends import onnx_model
from bneck.space.cost import cost
from tests.latency.devices.test_file import ARCH, timed
from tests.latency.machines import OneImage

SMALL = presets.build("mobilenet_v3_small", resolution_px=64, classes=10)


def test_a_model_of_a_batch_size_predicts_it_and_is_refused_for_another(
    tmp_path: Path, macs_model: LatencyModel
) -> None:
    """Of four images, four times the multiply-adds: 1 ns for each thousand."""
    space = spaces.build("v3-small", resolution_px=64, classes=10)
    device = open_device(runtime="macs", batch_size=4)
    model = calibrate([space], device, folder=tmp_path, minutes=0.02)
    assert model.predict(SMALL).ms == pytest.approx(4 * cost(SMALL).macs / 1e9, rel=0.05)
    took = measure(SMALL, device, model=model)
    assert took.ms == pytest.approx(4 * cost(SMALL).macs / 1e9, rel=1e-3)
    assert took.batch == 4
    counted = MacsRuntime(batch_size=4).predict(SMALL).ms
    assert counted == pytest.approx(4 * cost(SMALL).macs / 1e9)
    model.save(tmp_path / "latency.json")
    check_device(load(tmp_path / "latency.json"), device)
    with pytest.raises(BneckError, match=r"calibrated on \[.*\] and this is .*batches of 4 images"):
        check_device(macs_model, device)
    with pytest.raises(BneckError, match=r"calibrated on \[.*batches of 4 images\] and this is"):
        check_device(model, open_device(runtime="macs"), accept_version=True)


def test_older_files_say_no_batch_size_and_hold_for_one_image(
    macs_folder: Path, macs_model: LatencyModel, tmp_path: Path
) -> None:
    content = json.loads((macs_folder / "latency.json").read_text())
    del content["device"]["batch_size"]
    (tmp_path / "old.json").write_text(json.dumps(content))
    assert load(tmp_path / "old.json") == macs_model
    one = Fingerprint("Cortex-A72", 4, "onnxruntime", "1.20.0", 2)
    assert list(one.as_dict()) == ["cpu", "cores", "runtime", "version", "threads"]
    several = replace(one, batch_size=8)
    assert several.as_dict()["batch_size"] == 8
    files = {calibrations.kept(each, spaces.build("v3-small")) for each in (one, several)}
    assert len(files) == 2


def test_a_kit_carries_its_batch_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kit"
    add_to_kit(folder, ARCH, None, runtime="onnxruntime", batch_size=3)
    timed(folder)
    measured = json.loads((folder / "measurements.json").read_text())
    assert measured["device"]["batch_size"] == 3
    assert measure(ARCH, open_device(f"file:{folder}", batch_size=3)).batch == 3
    with pytest.raises(UsageError, match=r"with .* --batch-size 3, not with .* --batch-size 1"):
        measure(ARCH, open_device(f"file:{folder}"))
    with pytest.raises(UsageError, match=r"is for --batch-size 3, .* for --batch-size 2$"):
        add_to_kit(folder, ARCH, None, runtime="onnxruntime", batch_size=2)
    monkeypatch.setattr(kit, "NETWORKS", 1)
    space = spaces.build("v3-small", resolution_px=16, classes=3)
    write_kit([space], tmp_path / "other", batch_size=2)
    assert json.loads((tmp_path / "other" / "kit.json").read_text())["batch_size"] == 2


@pytest.mark.parametrize("word", ["onnxruntime", "onnxruntime-int8", "litert", "litert-int8"])
def test_what_other_devices_run_takes_the_batch(word: str) -> None:
    if word.startswith("litert"):
        pytest.importorskip("ai_edge_quantizer", reason="pip install 'bneck[litert]'")
    model = file_of(Graph(ARCH.layers()), open_runtime(word, batch_size=2))
    if word.startswith("litert"):
        from bneck.space.backends.tflite_session import open_interpreter

        (given,) = open_interpreter(model).get_input_details()
        assert given["shape"].tolist() == [2, 16, 16, 3]
    else:
        given = onnx.load_from_string(model).graph.input[0].type.tensor_type.shape.dim
        assert [dim.dim_value for dim in given] == [2, 3, 16, 16]


@pytest.mark.usefixtures("two_repetitions")
def test_a_free_batch_of_an_onnx_file_becomes_the_batch_size(tmp_path: Path) -> None:
    device = open_device(batch_size=2)
    for name, batch in (("free", "n"), ("one", 1)):
        model = onnx_model.build(*norm_free(ARCH.layers()), batch=batch)
        (tmp_path / name).write_bytes(model.SerializeToString())
    assert measure(tmp_path / "free", device, wanted=1.0).batch == 2
    with pytest.raises(UsageError, match=r"fixed at 1, so it cannot be timed at --batch-size 2"):
        measure(tmp_path / "one", device)


def test_the_command_takes_the_models_batch_size_and_refuses_another(
    tmp_path: Path, macs_model: LatencyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "latency.json"
    replace(macs_model, device=replace(macs_model.device, batch_size=4)).save(file)
    arguments = ["latency", "mobilenet_v3_small", "--resolution", "64", "--classes", "10"]
    arguments += ["--measure", "--model", str(file)]
    assert run([*arguments, "--batch-size", "2"]) == 2
    assert "calibrated for batch-size 4, not for 2" in capsys.readouterr().err
    assert run(arguments) == 0
    assert "for a batch of 4 images" in capsys.readouterr().out


def test_a_plan_names_the_batch_size_of_its_device() -> None:
    device = planned_device(Plan(runtime="macs", batch_size=8))
    assert str(device.fingerprint()).endswith("1 thread, batches of 8 images")
    device = planned_device(Plan(runtime="macs", threads=2))
    assert str(device.fingerprint()).endswith("macs 1, 2 threads")
    with pytest.raises(UsageError, match="batch-size must be a whole number from 1 to 1024, got 0"):
        Plan(batch_size=0)


def test_a_runtime_of_someones_own_that_takes_one_image_says_so() -> None:
    word = f"{OneImage.__module__}:OneImage"
    assert open_runtime(word).batch_size == 1
    with pytest.raises(UsageError, match="takes one image at a time, no --batch-size"):
        open_runtime(word, batch_size=2)
