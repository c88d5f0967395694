"""What the data of a run must be, which costs no calibration to find out."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bneck.cli import run
from bneck.derivation.plan import Plan
from bneck.derivation.session import Session
from bneck.derivation.stages.data import data_stage
from bneck.errors import UsageError
from bneck.executors.serial import Serial
from bneck.results.run import Run


@pytest.mark.parametrize(("images", "left"), [(2, "1 image"), (3, "2 images")])
def test_too_few_images_are_refused_before_the_calibration(
    images: int, left: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fifth of them, rounded up, gives the last figure."""
    pixels = np.random.default_rng(0).integers(0, 256, (images, 32, 32), dtype=np.uint8)
    np.savez(tmp_path / "few.npz", images=pixels, labels=np.arange(images) % 2)
    asked = ["--target=1", f"--data=npz:{tmp_path / 'few.npz'}", f"--out={tmp_path / 'run'}"]
    assert run(["search", *asked]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"few.npz has {left} to train on; at least 3 are needed" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_more_folds_than_images_allow_are_refused_before_the_calibration(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a GPU no trainings are timed in advance, which had found it out."""
    pixels = np.random.default_rng(0).integers(0, 256, (10, 32, 32), dtype=np.uint8)
    np.savez(tmp_path / "few.npz", images=pixels, labels=np.arange(10) % 2)
    asked = [f"--data=npz:{tmp_path / 'few.npz'}", f"--out={tmp_path / 'run'}", "--folds=20"]
    asked += ["--target=0.8x:mobilenet_v3_small", "--runtime=macs", f"--device={device}"]
    assert run(["search", *asked, "--calibration-minutes=0.001"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "--folds 20 leaves less than two of 8 training images in each part" in error
    assert not (tmp_path / "run").exists()


def test_files_are_skipped_and_read_as_the_plan_says(tmp_path: Path) -> None:
    """One of 121 is no image; another has other pixels in as many bytes, of the same time."""
    folder, random = tmp_path / "images", np.random.default_rng(0)
    for number in range(120):
        (folder / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "ab"[number % 2] / f"{number}.bmp")
    (folder / "a" / "note.png").write_text("no image")
    plan = Plan(data=f"folder:{folder}", target="1", resolution_px=8)
    session = Session(Run(tmp_path, {}), plan, Serial(), Serial())
    with pytest.raises(UsageError, match=r"note\.png"):
        data_stage(session)
    skipping = replace(session, plan=replace(plan, skip_unreadable=True))
    info = data_stage(skipping).info
    assert info.training + info.validation == 120
    file = folder / "b" / "1.bmp"
    before, content = file.stat(), bytearray(file.read_bytes())
    content[-1] ^= 255
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert data_stage(skipping).info == info
    with pytest.raises(UsageError, match="is no longer what this run began with"):
        data_stage(replace(skipping, plan=replace(skipping.plan, check_images=True)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (5, "the facts of images must be an object, got 5"),
        ({"mean": "x"}, "ImageFacts.mean must be a list, got 'x'"),
        ({"mean": [0.5, 0.5]}, r"ImageFacts: mean must be 3 numbers, got \(0.5, 0.5\)"),
        ({"mean": [0.5, 0.5, None]}, r"ImageFacts.mean\[2\] must be a number, got None"),
        ({"std": [0.5, 0.5, 0]}, r"ImageFacts: std must be numbers above 0, got \(0.5, 0.5, 0.0\)"),
        ({"fingerprint": None}, "ImageFacts.fingerprint must be text, got None"),
        ({"fingerprint": "ab"}, ""),  # of an earlier version
    ],
)
def test_facts_of_images_that_make_no_sense_are_refused(
    tmp_path: Path, change: object, message: str
) -> None:
    session = Session(Run(tmp_path, {}), Plan(data="digits", target="1"), Serial(), Serial())
    info = data_stage(session).info
    kept = json.loads(session.run.images.read_text())
    changed = {**kept, **change} if isinstance(change, dict) else change
    session.run.images.write_text(json.dumps(changed))
    if message:
        with pytest.raises(UsageError, match=f"^{session.run.images}: {message}$"):
            data_stage(session)
    else:
        assert data_stage(session).info == info
