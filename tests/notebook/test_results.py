"""What a run's object gives: frames, the network, classes of images, exports."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import bneck
from bneck import records
from bneck.errors import UsageError
from bneck.files import write_json
from bneck.results.exports import Trained, export
from bneck.results.record import Outcome, Step
from bneck.results.run import Run
from bneck.space import codec as networks
from bneck.space import presets
from bneck.space.backends import torch_model, weights


def test_a_run_is_found_from_any_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(folder.parent)
    results = bneck.open_run(folder.name)
    monkeypatch.chdir(tmp_path)
    assert results.outcome == records.read(folder / "result.json", Outcome)


def test_the_trained_network_is_a_torch_module(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    state = torch_model.build(arch, seed=5).state_dict()
    notes = {"classes": '["a", "b", "c"]', "mean": "[0.5, 0.5, 0.5]", "std": "[0.2, 0.2, 0.2]"}
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    with Run.open(tmp_path / "run", {"data": "digits"}, command="bneck train") as run:
        write_json(run.network, networks.to_json(arch))
        weights.save(run.weights, state)
        export(Trained(arch, state, notes), "onnx", run.onnx)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    results = bneck.open_run(tmp_path / "run")
    image = (torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255 - 0.5) / 0.2
    with torch.no_grad():
        expected = results.network()(image).softmax(1)[0]
    (classes,) = results.predict(tmp_path / "a.png")
    assert list(classes.values()) == sorted(classes.values(), reverse=True)
    for name, share in zip("abc", expected, strict=True):
        assert classes[name] == pytest.approx(float(share), abs=1e-5)
    (tmp_path / "a.txt").write_text("no picture")
    for name, why in (("a.txt", "not an image"), ("b.png", "No such file or directory")):
        with pytest.raises(
            UsageError, match=f"^cannot read {re.escape(str(tmp_path))}/{name}: {why}$"
        ):
            results.predict(tmp_path / name)
    both = [tmp_path / "a.png", tmp_path / "a.txt", tmp_path / "b.png"]
    with pytest.raises(UsageError, match=r"/a.txt: not an image; cannot read .*/b.png: No such"):
        results.predict(both)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (tmp_path / "a.txt").rename(pictures / "a.txt")
    with pytest.raises(UsageError, match=f"^no images in {re.escape(str(pictures))}$"):
        results.predict(pictures)
    (tmp_path / "a.png").rename(pictures / "b.png")
    capsys.readouterr()
    assert results.predict(pictures) == [classes]
    passed_over = f"warning: passed over, as they are not images: {pictures / 'a.txt'}\n"
    assert capsys.readouterr().err == passed_over
    assert results.predict([]) == []


@pytest.mark.parametrize("images", ["", ["a.png", ""], 3])
def test_a_picture_without_a_name_is_refused(folder: Path, images: Any) -> None:
    """An empty path would be the working directory, with all images below it."""
    got = "must be a path, got 3" if images == 3 else "must not be empty"
    with pytest.raises(UsageError, match=f"^images {got}$"):
        bneck.open_run(folder).predict(images)


def test_an_export_without_a_name_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"^file must not be empty$"):
        bneck.open_run(folder).export("")


def test_frames(folder: Path) -> None:
    pd = pytest.importorskip("pandas")
    results = bneck.open_run(folder)
    steps = results.steps
    assert isinstance(steps, pd.DataFrame)
    written = records.read_lines(results.run.steps, Step)
    assert list(steps[steps.taken].index) == [step.number for step in written if step.proposals]
    assert len(steps) == 1 + sum(len(step.proposals) for step in written)
    assert steps.latency_ms.iloc[0] == written[0].latency_ms
    assert results.trials.empty
    assert isinstance(results.outcome, Outcome)
    assert results.architecture is None
    with pytest.raises(UsageError, match="has no network yet: the run is"):
        results.network()


def test_frames_of_a_run_that_has_only_begun(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    with Run.open(tmp_path / "run", {"data": "digits"}, command="bneck derive"):
        results = bneck.open_run(tmp_path / "run")
        trials, steps = results.trials, results.steps
    assert trials.sort_values("reward").tail().empty
    assert steps[steps.taken].move.empty
    assert (trials.index.name, steps.index.name) == ("number", "step")
    assert list(trials) == [
        "accuracy", "latency_ms", "reward", "error", "seconds", "rung", "network"
    ]  # fmt: skip
