"""One derivation by what a user gets unasked: ONNX Runtime's clock and the surrogate sampler."""

import json
import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from bneck import records
from bneck.cli import run
from bneck.derivation.results import read_trials
from bneck.derivation.stages import target_device
from bneck.latency import measure
from bneck.latency.timing import Effort
from bneck.results.record import Outcome, Step
from bneck.results.run import Run
from bneck.results.similarity import Similarity
from bneck.results.stage_record import SearchResult, Shrunk

pytestmark = pytest.mark.usefixtures("forks_have_torch")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 60 noisy squares that differ in where they are bright."""
    folder, draw = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for label, name in enumerate(("bottom", "middle", "top")):
        (folder / name).mkdir()
        for number in range(60):
            pixels = draw.integers(0, 60, (32, 32, 3), np.uint8)
            pixels[22 - 11 * label : 32 - 11 * label] += 190  # rows: images are mirrored
            Image.fromarray(pixels).save(folder / name / f"{number:03d}.png")
    return folder


@pytest.fixture(scope="module")
def derived(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that measures as on a steady machine, which this one is not beside other tests.

    There no network needs more than the fewest chunks. They are repeated three times, not six: what
    is asked of latencies here allows for 10 %.
    """
    out = tmp_path_factory.mktemp("derived") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target_device, "UNSURE_PERCENT", math.inf)
        patch.setattr("bneck.latency.fitted_model.TOO_NOISY", math.inf)
        for name in ("MIN_REPETITIONS", "MAX_REPETITIONS"):
            patch.setattr(measure, name, 3)
        patch.setattr(measure, "MAX_PAIRS", Effort().min_pairs)
        code = run(
            ["derive", "--target=0.7x:mobilenet_v3_small", f"--data=folder:{photos}",
             f"--out={out}", "--resolution=32", "--calibration-minutes=0.05", "--evaluations=10",
             "--search-steps=2", "--folds=1", "--fine-tune-steps=2", "--delta=0.25",
             "--epochs=20", "--workers=2"]
        )  # fmt: skip
    assert code in (0, 1)  # 1: beside other tests it may measure a little above its target
    return out


def test_the_surrogate_searches_the_band_and_the_best_reward_wins(derived: Path) -> None:
    opened = Run.read(derived)
    assert opened.plan["runtime"] == "onnxruntime"
    assert opened.plan["sampler"] == "surrogate"
    target_ms = json.loads(opened.target.read_text())["target_ms"]
    trials = read_trials(opened)
    assert len(trials) == len({trial.arch for trial in trials}) == 10
    assert all(target_ms <= trial.latency_ms <= 1.25 * target_ms for trial in trials)
    (selected,) = records.read(opened.winners, SearchResult).networks
    assert selected.arch in {trial.arch for trial in trials}
    assert selected.accuracy.value == max(
        trial.accuracy for trial in trials if trial.arch == selected.arch
    )


def test_the_network_measures_at_or_under_its_target_and_has_learnt(derived: Path) -> None:
    opened = Run.read(derived)
    outcome = records.read(opened.result, Outcome)
    (shrunk,) = records.read_lines(opened.shrunk, Shrunk)
    assert shrunk.measured.ms <= outcome.target_ms
    steps = records.read_lines(opened.steps, Step)
    assert [step.number for step in steps] == list(range(len(steps)))
    assert shrunk.met == (len(steps) <= 1)  # step 0 is the selected network, at the target already
    assert all(later.latency_ms < steps[0].latency_ms for later in steps[1:])
    # NetAdapt measured it under the target; measured again it may differ by some per cent here.
    assert outcome.measured is not None
    assert outcome.measured.ms < 1.1 * outcome.target_ms
    assert outcome.accuracy is not None
    assert outcome.accuracy.value > 0.8  # 1/3 by chance
    assert records.read(opened.likeness, Similarity).networks == 200


def test_the_onnx_file_says_what_the_run_counted(derived: Path, photos: Path) -> None:
    session = onnxruntime.InferenceSession(
        derived / "model.onnx", providers=["CPUExecutionProvider"]
    )
    said = session.get_modelmeta().custom_metadata_map
    mean, std = (np.float32(json.loads(said[name])) for name in ("mean", "std"))
    right = 0
    for label, name in enumerate(json.loads(said["classes"])):
        pixels = [np.asarray(Image.open(file)) for file in sorted((photos / name).iterdir())]
        x = (np.float32(pixels) / 255 - mean) / std
        (scores,) = session.run(None, {session.get_inputs()[0].name: x.transpose(0, 3, 1, 2)})
        right += int((scores.argmax(1) == label).sum())
    assert right / 180 > 0.85
