"""A device that a kit is carried to: its measurements are looked up, never made here."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch

from bneck import records
from bneck.cli import run
from bneck.errors import BneckError, UsageError
from bneck.latency import kit
from bneck.latency.calibration.calibrate import calibrate
from bneck.latency.calibration.networks import calibration_network
from bneck.latency.devices import Graph, open_device
from bneck.latency.devices.file import FileDevice
from bneck.latency.kit import add_to_kit
from bneck.latency.measure import measure, reference
from bneck.latency.model import LatencyModel
from bneck.latency.runtimes.weights import norm_free
from bneck.latency.timing import Effort
from bneck.quantities import Latency, at_most_ms
from bneck.results.run import Run
from bneck.space import codec, presets, spaces
from bneck.space.backends import torch_model
from bneck.space.backends.weights import save

ARCH = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=3)


def weights(seed: int = 1) -> dict[str, np.ndarray]:
    state = torch_model.build(ARCH, seed=seed).state_dict()
    return {name: tensor.numpy() for name, tensor in state.items()}


def timed(folder: Path) -> None:
    """What someone does on the device."""
    command = [sys.executable, "-I", str(folder / "measure.py"), "--minutes", "20"]
    subprocess.run(command, check=True, capture_output=True)


def opened(folder: Path) -> FileDevice:
    device = open_device(f"file:{folder}")
    assert isinstance(device, FileDevice)
    return device


def test_a_kit_of_one_network_is_measured_with_its_own_weights_and_looked_up(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "kit"
    add_to_kit(folder, ARCH, weights(), runtime="onnxruntime")
    device = opened(folder)
    with pytest.raises(BneckError, match=r"measurements\.json is not there yet: copy .* again"):
        measure(ARCH, device)
    timed(folder)
    took = measure(ARCH, device)
    items = json.loads((folder / "measurements.json").read_text())["items"]
    assert len(items) == 5
    assert took.timing is not None
    assert took.timing.ratio == np.median([item["ratio"] for item in items])
    assert device.fingerprint() == open_device().fingerprint()
    other = presets.build("mobilenet_v2", width=0.35, resolution_px=16, classes=3)
    with pytest.raises(BneckError, match="no measurement of this network yet: `bneck latency kit"):
        list(device.time([Graph(other.layers())], reference(16, 3), Effort()))
    assert not device.is_measured(other.layers())
    with pytest.raises(UsageError, match="measures networks of our own only, not ONNX files"):
        list(device.time([Graph(onnx=b"x")], reference(16, 3), Effort()))


def test_what_kept_the_device_busy_meanwhile_is_said_of_the_measurement(tmp_path: Path) -> None:
    folder = tmp_path / "kit"
    add_to_kit(folder, ARCH, weights(), runtime="onnxruntime")
    timed(folder)
    found = json.loads((folder / "measurements.json").read_text())
    assert all(item["load"].keys() == {"other_cores", "stolen"} for item in found["items"])
    for cores in (0.0, 1.5):
        for item in found["items"]:
            item |= {"load": {"other_cores": cores, "stolen": 0.0}, "core_share": 1.0}
        (folder / "measurements.json").write_text(json.dumps(found))
        said = measure(ARCH, opened(folder)).note
        assert (said == "other programs used 1.5 cores during the measurement") == (cores > 0)


def test_one_architecture_with_other_weights_is_another_network(tmp_path: Path) -> None:
    """As after a longer training: weights can change what a network takes."""
    folder = tmp_path / "kit"
    add_to_kit(folder, ARCH, weights(1), runtime="onnxruntime")
    timed(folder)
    device = opened(folder)
    assert device.is_measured(ARCH.layers(), weights(1))
    assert not device.is_measured(ARCH.layers(), weights(2))
    with pytest.raises(BneckError, match="no measurement of this network yet"):
        measure(ARCH, device, weights=weights(2))
    for _ in range(2):
        device.offer(ARCH, weights(2))
    device.offer(ARCH, weights(1))
    assert len(json.loads((folder / "kit.json").read_text())["networks"]) == 2 * 5
    timed(folder)
    items = json.loads((folder / "measurements.json").read_text())["items"]
    for own, ratios in ((1, items[:5]), (2, items[5:])):
        took = measure(ARCH, device, weights=weights(own))
        assert took.timing is not None
        assert took.timing.ratio == np.median([item["ratio"] for item in ratios])


def test_a_runs_network_is_looked_up_by_its_own_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "kit"
    add_to_kit(folder, ARCH, weights(1), runtime="onnxruntime")
    timed(folder)
    with Run.open(tmp_path / "run", {"data": "digits"}) as trained:
        records.write(trained.network, ARCH)
    command = ["latency", str(trained.folder), "--measure", f"--target-device=file:{folder}"]
    for seed, code in ((1, 0), (2, 1)):
        state = {name: torch.from_numpy(array) for name, array in weights(seed).items()}
        save(trained.weights, state)
        assert run(command) == code
    assert "no measurement of this network yet" in capsys.readouterr().err
    add_to_kit(tmp_path / "like", ARCH, weights(2), runtime="onnxruntime", batch_size=2)
    to = f"--out={tmp_path / 'kit of run'}"
    assert run(["latency", "kit", f"--network={trained.folder}", "--batch-size=2", to]) == 0
    device = f"--target-device 'file:{tmp_path / 'kit of run'}' --runtime onnxruntime"
    then = f"`bneck latency {trained.folder} --measure {device} --batch-size 2`"
    assert then in capsys.readouterr().out
    like, made = (
        {str(one.relative_to(place)): one.read_bytes() for one in place.rglob("*.*")}
        for place in (tmp_path / "like", tmp_path / "kit of run")
    )
    assert made == like


def test_a_network_that_was_measured_in_part_is_not_measured_yet(tmp_path: Path) -> None:
    """It is prepared five times, for where its weights lie moves its time by a percent or two."""
    folder = tmp_path / "kit"
    add_to_kit(folder, ARCH, weights(), runtime="onnxruntime")
    timed(folder)
    found = json.loads((folder / "measurements.json").read_text())
    for kept, measured in ((5, True), (4, False)):
        items = found["items"][:kept]
        (folder / "measurements.json").write_text(json.dumps({**found, "items": items}))
        assert opened(folder).is_measured(ARCH.layers()) == measured


def test_a_kits_ratios_are_on_no_scale_of_another_reference(
    tmp_path: Path, macs_model: LatencyModel
) -> None:
    """At a small side a classifier of 1000 classes is most of the reference."""
    folder = tmp_path / "kit"
    add_to_kit(folder, ARCH, weights(), runtime="onnxruntime")
    timed(folder)
    scale = replace(macs_model.scale, reference_ms=3.0, load=0.0, load_by_size=0.0, classes=3)
    like = replace(macs_model, resolution_px=16, scale=scale)
    took = measure(ARCH, opened(folder), model=like)
    assert took.timing is not None
    assert took.ms == pytest.approx(3.0 * took.timing.ratio)
    for other in (
        replace(like, resolution_px=64),
        replace(like, scale=replace(scale, classes=1000)),
    ):
        with pytest.raises(UsageError, match="16 px and 3 classes, and the latency model's is of"):
            measure(ARCH, opened(folder), model=other)


def test_a_network_is_added_to_a_kit_once_another_process_has_written_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that add theirs at once, one had been lost."""
    folder, added = tmp_path / "kit", []
    write = kit._write_network

    def slowly(*arguments: Any) -> None:
        if not added:
            added.append(Thread(target=lambda: opened(folder).offer(ARCH, weights(2))))
            added[0].start()
            added[0].join(timeout=0.5)
        write(*arguments)

    monkeypatch.setattr(kit, "_write_network", slowly)
    opened(folder).offer(ARCH, weights(1))
    added[0].join()
    assert len(json.loads((folder / "kit.json").read_text())["networks"]) == 2 * 5


def test_the_minutes_of_a_kit_are_told_on_the_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["calibrate", "--minutes=3", f"--target-device=file:{tmp_path / 'kit'}"]
    assert run([*arguments, f"--out={tmp_path / 'm.json'}"]) == 2
    assert "--minutes has no effect on file:" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_measurements_of_another_kit_runtime_or_thread_count_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "kit"
    add_to_kit(folder, ARCH, weights(), runtime="onnxruntime")
    timed(folder)
    with pytest.raises(UsageError, match=r"--threads 1 .*, not with .* --threads 2"):
        open_device(f"file:{folder}", threads=2).fingerprint()
    kit = json.loads((folder / "kit.json").read_text())
    (folder / "kit.json").write_text(json.dumps({**kit, "kit": "another"}))
    with pytest.raises(UsageError, match="was measured with another kit than"):
        opened(folder).fingerprint()
    with pytest.raises(UsageError, match=r"the kit in .* is for .*, the network for") as caught:
        add_to_kit(folder, ARCH.at(classes=4), None, runtime="onnxruntime")
    assert str(caught.value) == f"the kit in {folder} is for 3 classes, the network for 4 classes"
    with pytest.raises(UsageError) as caught:
        add_to_kit(folder, ARCH.at(resolution_px=32), None, runtime="onnxruntime-int8")
    assert str(caught.value) == (
        f"the kit in {folder} is for --runtime onnxruntime and 16 px, the network for "
        "--runtime onnxruntime-int8 and 32 px"
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(UsageError, match="holds neither a kit nor its measurements: `bneck"):
        measure(ARCH, opened(tmp_path / "full"))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "kit.json").write_text("{}")
    with pytest.raises(UsageError, match=r"kit\.json is not what `bneck latency kit` writes"):
        add_to_kit(tmp_path / "damaged", ARCH, None, runtime="onnxruntime")
    with pytest.raises(UsageError, match="is not empty and holds no kit"):
        add_to_kit(tmp_path / "full", ARCH, None, runtime="onnxruntime")


def test_what_is_to_be_done_has_the_settings_of_the_command(tmp_path: Path) -> None:
    """Measurements with others are refused when they are carried back."""
    (folder := tmp_path / "my kit").mkdir()
    device = open_device(f"file:{folder}", runtime="onnxruntime-int8", threads=2, batch_size=4)
    assert isinstance(device, FileDevice)
    assert "run `python measure.py --threads 2` in it" in device.steps()
    assert "run `python measure.py` in it" in opened(folder).steps()
    command = f"`bneck latency kit --network RUN --out '{folder}' --runtime onnxruntime-int8"
    with pytest.raises(UsageError, match=re.escape(f": {command} --batch-size 4` writes a kit")):
        device.fingerprint()


def test_a_calibration_writes_the_kit_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "NETWORKS", 4)
    device, space = opened(tmp_path / "kit"), spaces.build("v3-small", resolution_px=16, classes=3)
    with pytest.raises(BneckError, match=r"run `python measure\.py` in it"):
        calibrate([space], device, folder=tmp_path / "work")
    assert (tmp_path / "kit" / "kit.json").exists()
    device.offer(ARCH, norm_free(ARCH.layers())[1] | weights())
    names = [one["name"] for one in json.loads((tmp_path / "kit/kit.json").read_text())["networks"]]
    assert len(names) == 4 + 5
    assert all(name.startswith("final") for name in names[:5])  # whatever minutes there are
    timed(tmp_path / "kit")
    assert device.is_measured(ARCH.layers())
    with pytest.raises(BneckError, match="only 4 networks"):  # the final one is not fitted to
        calibrate([space], device, folder=tmp_path / "work")


def test_the_kit_of_a_calibration_is_for_what_was_asked_of_its_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its measurements would be refused once they are back."""
    pytest.importorskip("ai_edge_litert", reason="pip install 'bneck[litert]'")
    monkeypatch.setattr(kit, "NETWORKS", 1)
    device = open_device(f"file:{tmp_path / 'kit'}", runtime="litert", batch_size=2)
    space = spaces.build("v3-small", resolution_px=16, classes=3)
    with pytest.raises(BneckError, match=r"measurements\.json is not there yet"):
        calibrate([space], device, folder=tmp_path / "work", seed=5)
    content = json.loads((tmp_path / "kit" / "kit.json").read_text())
    assert (content["runtime"], content["batch_size"]) == ("litert", 2)
    (one,) = content["networks"]
    assert codec.from_json(one["arch"]) == calibration_network([space], 0, seed=5)[1]


def test_a_kit_of_other_classes_or_another_side_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when the network is to be added to it, which is after all trainings."""
    monkeypatch.setattr(kit, "NETWORKS", 2)
    space = spaces.build("v3-small", resolution_px=16, classes=3)
    kit.write_kit([space], tmp_path / "kit")
    device = opened(tmp_path / "kit")
    device.check_takes(ARCH)
    for side_px, classes, words in (
        (32, 3, "16 px, the network for 32 px"),
        (16, 1000, "3 classes, the network for 1000 classes"),
    ):
        other = spaces.build("v3-small", resolution_px=side_px, classes=classes)
        with pytest.raises(UsageError, match=f"the kit in .* is for {words}$"):
            device.calibrated([other])
    (tmp_path / "kit" / "kit.json").rename(tmp_path / "kit" / "measurements.json")
    with pytest.raises(UsageError, match=r"holds measurements\.json without its kit\.json"):
        device.check_takes(ARCH)
    opened(tmp_path / "new").check_takes(ARCH)  # where a kit will be written


@pytest.mark.parametrize(
    ("option", "of_kit", "asked"),
    [("runtime", "onnxruntime", "litert"), ("batch-size", 1, 2), ("resolution", 16, 224)],
)
def test_a_kit_for_other_options_is_refused_before_images_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, of_kit: object, asked: object
) -> None:
    if asked == "litert":
        pytest.importorskip("ai_edge_litert", reason="pip install 'bneck[litert]'")
    folder = tmp_path / "kit"
    add_to_kit(folder, ARCH, None, runtime="onnxruntime")
    said = refused(capsys, folder, f"--{option}={asked}")
    assert said == (
        f"bneck: the kit in {folder} is for --{option} {of_kit}, not {asked}: give that, or "
        "another folder\n"
    )


def test_measurements_with_other_threads_are_refused_before_images_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "kit"
    add_to_kit(folder, ARCH, None, runtime="onnxruntime")
    timed(folder)
    said = refused(capsys, folder, "--threads=2")
    assert said == (
        f"bneck: {folder}/measurements.json was measured with --runtime onnxruntime --threads 1 "
        "--batch-size 1, not with --runtime onnxruntime --threads 2 --batch-size 1\n"
    )


def refused(capsys: pytest.CaptureFixture[str], folder: Path, option: str) -> str:
    """What a derivation for a kit says, of images that are none: that would be said next."""
    photos, out = folder.with_name("photos"), folder.with_name("run")
    for name in "ab":
        (photos / name).mkdir(parents=True)
        (photos / name / "0.png").touch()
    command = ["derive", "--target=1", f"--data=folder:{photos}", f"--target-device=file:{folder}"]
    assert run([*command, f"--out={out}", option]) == 2
    assert not out.exists()
    return capsys.readouterr().err


def test_a_kit_of_one_network_alone_is_carried_nowhere_to_calibrate(tmp_path: Path) -> None:
    """It would come back with nothing to calibrate on."""
    add_to_kit(tmp_path / "kit", ARCH, weights(), runtime="onnxruntime")
    space = spaces.build("v3-small", resolution_px=16, classes=3)
    with pytest.raises(UsageError, match="measures a run's network and calibrates nothing: name"):
        calibrate([space], opened(tmp_path / "kit"), folder=tmp_path / "work")


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="name the folder of the kit: file:DIR"):
        open_device("file:")
    arguments = ["latency", "kit", "--network", str(tmp_path), "--out", str(tmp_path / "kit")]
    assert run(arguments) == 2
    assert "is not a run's folder" in capsys.readouterr().err


def test_a_kit_in_the_home_folder_is_found_behind_the_colon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No shell resolves ~ there: a folder of that name was made in the working directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert opened(Path("~/kit")).folder == tmp_path / "kit"


def test_a_prediction_is_believed_with_nine_tenths_confidence() -> None:
    assert at_most_ms(Latency(1.0, 0.1)) == pytest.approx(1.12816, abs=1e-5)
    assert at_most_ms(Latency(1.0)) == 1.0
