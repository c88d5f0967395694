"""Labels of small sets: every training image judges once, in the fold that left it out."""

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bneck.cli import run
from bneck.derivation.plan import Plan
from bneck.derivation.report import report_data
from bneck.derivation.training_budget import budget, folds
from bneck.errors import UsageError
from bneck.proxies.data.loading import load
from bneck.proxies.data.worker_images import WorkerImages, in_folds
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.results.run import Run
from bneck.search.evaluation import Evaluate
from bneck.space import presets
from bneck.space.backends.torch_model import build

RECIPE = Recipe(3, 16)


@pytest.fixture
def few(tmp_path: Path) -> str:
    """The digits' first 152 training and 60 validation images at 16 px, as a plan names them."""
    digits = load("digits", resolution_px=16)
    parts = {"train": digits.train.first(152, 0), "test": digits.val.first(60, 0)}
    arrays = {
        name: array
        for part, images in parts.items()
        for name, array in (
            (f"x_{part}", images.pixels().permute(0, 2, 3, 1).numpy()),
            (f"y_{part}", images.labels.numpy()),
        )
    }
    np.savez(tmp_path / "few.npz", **arrays)
    return f"npz:{tmp_path / 'few.npz'}"


def test_a_label_is_the_share_of_all_images_that_their_folds_classify_right(few: str) -> None:
    images = WorkerImages(few, 16, 16, 0, folds=3)
    arch = presets.build("mobilenet_v3_small", resolution_px=16, classes=10)
    right = 0
    for fold in range(3):
        source = load(few, resolution_px=16).without_fold(fold, 3, 0)
        network = build(arch, seed=0)
        found = train(network, source, RECIPE, seed=0)
        right += round(found.accuracy.value * len(source.val))
    label = Evaluate(images, "short-training", RECIPE, 0)(arch)
    assert label.accuracy == pytest.approx(right / 152)
    assert {one.info.validation for one in in_folds(images)} == {50, 51}


def test_a_search_keeps_its_folds_and_reports_them(
    few: str, digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = [
        "search", f"--data={few}", "--resolution=16", "--target=0.9x:mobilenet_v3_small",
        "--runtime=macs", f"--latency={digits_latency}", "--workers=1", "--sampler=random",
        "--search-steps=1", f"--out={out}",
    ]  # fmt: skip
    assert run([*command, "--evaluations=1"]) == 0
    assert "trained 5 times, on all but a part of 152 images" in capsys.readouterr().err
    assert tomllib.loads((out / "plan.toml").read_text())["folds"] == 5
    assert "(5-fold)" in (out / "report.html").read_text()
    shown = report_data(Run.read(out))
    assert (shown.counted_on, shown.folds) == (152, 5)
    assert shown.found.counted == "by the proxy of the search, 5-fold"
    # As an earlier version left it: the labels of one search are all judged alike.
    plan = (out / "plan.toml").read_text()
    (out / "plan.toml").write_text(plan.replace("folds = 5\n", ""))
    assert run([*command, "--evaluations=2"]) == 0
    assert "trained 5 times" not in capsys.readouterr().err
    assert report_data(Run.read(out)).counted_on == 31
    assert run([*command, "--evaluations=2", "--folds=5"]) == 2


def test_folds_are_for_small_sets_and_trainings_unless_asked(few: str) -> None:
    small, large = load(few, resolution_px=16).info, load("digits", resolution_px=16).info
    assert (folds(Plan(), small), folds(Plan(), large)) == (5, 1)
    assert folds(Plan(folds=1), small) == 1
    assert budget(Plan(), small).search.steps == 100
    assert folds(Plan(folds=3), large) == 3
    assert folds(Plan(proxy="zen"), small) == 1
    # Labels see no validation image of the user's own: few training images stay few.
    assert folds(Plan(), replace(small, validation=4000)) == 5
    assert folds(Plan(), replace(small, training=1000)) == 1
    assert (small.judged_on, large.judged_on) == (152, 288)
    parted = replace(large, validation=400, validation_left_out=50, test=300)
    assert parted.judged_on == 350  # not by pictures that give the last figure
    with pytest.raises(UsageError, match=r"folds must be .* 1 to 20, got 21"):
        Plan(folds=21)
