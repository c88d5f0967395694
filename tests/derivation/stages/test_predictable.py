"""What the plan's latency model could not predict is refused before the calibration."""

from pathlib import Path

import pytest

from bneck.cli import run
from bneck.derivation.plan import Plan
from bneck.derivation.session import Session
from bneck.derivation.stages.data import RunData
from bneck.derivation.stages.predictable import check_predictable
from bneck.errors import UsageError
from bneck.executors.serial import Serial
from bneck.latency import kit
from bneck.progress import silent
from bneck.proxies.data.loading import load
from bneck.results.run import Run
from bneck.space import presets, spaces

V2 = "mobilenet_v2: no network of space v3-small has anything like stem.conv (conv 3x3/2 on 16 px, "
V2 += "relu6), so that a calibration on it could not predict that; "
ALL = "--space all --resolution 16 --classes 10 --runtime"


def refused(capsys: pytest.CaptureFixture[str], net: str, out: Path, *more: str) -> str:
    """What is said of a network that is not begun: a calibration would take an hour."""
    asked = ["--target=0.8x:mobilenet_v3_small", "--data=digits", "--resolution=16", *more]
    assert run(["shrink", net, *asked, f"--out={out}"]) == 2
    assert not out.exists()
    return capsys.readouterr().err.strip().splitlines()[-1]


HOUR = ("--runtime=macs", "--calibration-minutes=60")


def test_a_network_unlike_any_of_the_space_is_refused_with_what_helps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    helps = f"give --latency FILE, made by `bneck calibrate {ALL} macs --out FILE`"
    assert refused(capsys, "mobilenet_v2", out, *HOUR) == f"bneck: {V2}{helps}"
    assert refused(capsys, "mobilenet_v1", out, *HOUR).endswith("; give --space v3-small-plain")


def test_the_calibration_that_helps_is_of_the_same_device_and_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model of one thread, or of this machine, would be refused once it was made."""
    plan = Plan(
        data="digits",
        target="1.0",
        seed_network="mobilenet_v2",
        threads=2,
        batch_size=4,
        target_device="ssh:me@board",  # which the command reaches before it looks at images
    )
    session = Session(Run(tmp_path / "run", {}), plan, Serial(), Serial(), silent)
    data = RunData(load("digits", resolution_px=16).info)
    with pytest.raises(UsageError) as refusal:
        check_predictable(session, data, presets.build("mobilenet_v2").at(**data.size))
    settings = "--batch-size 4 --threads 2 --target-device ssh:me@board"
    assert str(refusal.value).endswith(f"`bneck calibrate {ALL} onnxruntime {settings} --out FILE`")
    place = tmp_path / "my kit"
    more = ["--threads=2", "--batch-size=4", f"--target-device=file:{place}"]
    error = refused(capsys, "mobilenet_v2", tmp_path / "run", *more)
    assert error.endswith(f"{ALL} onnxruntime --batch-size 4 --out '{place}'`")


def test_no_kit_of_such_a_space_is_carried_to_a_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, place = tmp_path / "run", tmp_path / "kit"
    error = refused(capsys, "mobilenet_v2", out, f"--target-device=file:{place}")
    helps = f"write the kit by `bneck latency kit {ALL} onnxruntime --out {place}`"
    assert error == f"bneck: {V2}{helps}"
    assert not place.exists()


@pytest.mark.parametrize("command", ["derive", "search"])
def test_a_kit_of_another_space_is_not_carried_to_a_device_either(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its measurements would predict nothing of the space that is searched."""
    monkeypatch.setattr(kit, "NETWORKS", 40)
    folder, out = tmp_path / "kit", tmp_path / "run"
    kit.write_kit([spaces.build("v3-small", resolution_px=16, classes=10)], folder)
    asked = ["--target=2", "--data=digits", "--resolution=16", f"--target-device=file:{folder}"]
    assert run([command, *asked, "--space=mnasnet", f"--out={out}"]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1] == (
        f"bneck: the kit in {folder} is of another space: none of its networks has anything like "
        "stem.conv (conv 3x3/2 on 16 px, relu), which space mnasnet has; give the --space of "
        "the kit, or another folder"
    )
    assert run([command, *asked, "--space=v3-small", f"--out={out}"]) == 1
    assert "measurements.json is not there yet" in capsys.readouterr().err


def test_a_latency_model_or_table_that_lacks_it_names_the_layer_too(
    digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table = tmp_path / "run", tmp_path / "table.csv"
    known = ("--runtime=macs", f"--latency={digits_latency}")
    error = refused(capsys, "mobilenet_v2", out, *known)
    assert error.startswith("bneck: stem.conv: never timed on this device: conv 3x3/2 on 16 px")
    table.write_text("block,ms\nnone,1\n")
    error = refused(capsys, "mobilenet_v2", out, f"--target-device=table:{table}")
    assert error.startswith(f"bneck: stem.conv: table:{table} has no block Conv-input:16x16x3-")
