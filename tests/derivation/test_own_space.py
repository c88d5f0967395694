"""A run in a space of one's own, read again by commands that import nothing it names."""

import json
import shutil
from pathlib import Path

import pytest

from bneck.executors.serial import Serial
from bneck.results.run import Run
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.search.search import search
from bneck.search.study import Study
from bneck.space import spaces
from tests.closed_form import MacsDevice, accuracy
from tests.command_line import said

WORD = "a_space_to_report:copy"
CODE = """
from bneck.space.spaces import SPACES


def copy(name, resolution_px, classes):
    return SPACES["v3-small"](name, resolution_px, classes)
"""


@pytest.fixture
def folder(digits_latency: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose search has two trials; its space is not imported any more."""
    (tmp_path / "a_space_to_report.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(spaces, "SPACES", dict(spaces.SPACES))
    monkeypatch.setattr("bneck.derivation.run_list.SPACES", spaces.SPACES)
    spaces.load_own(WORD)
    space = spaces.build(WORD, resolution_px=16, classes=10)
    plan = {"data": "digits", "seed": 0, "target": "0.2", "space": WORD}
    with Run.open(tmp_path / "run", plan, command="bneck search") as run:
        about = {"name": "digits", "fingerprint": "0" * 12, "class_names": [*"0123456789"]}
        run.images.write_text(json.dumps(about | {"resolution_px": 16}))
        shutil.copy(digits_latency, run.latency)
        study = Study(run.journal, space, sampler="random", seed=0)
        objectives = Objectives(space, MacsDevice(), [Target(Soft(1.0), ceiling_ms=9.0)])
        search(study, accuracy, objectives=objectives, evaluations=2, executor=Serial())
    del spaces.SPACES[WORD]
    return run.folder


def test_a_report_needs_the_space_to_be_loaded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = said(capsys, "report", folder)
    assert code == 2
    assert f"unknown space '{WORD}'" in err
    assert "bneck.space.spaces.load_own loads one of your own" in err
    spaces.load_own(WORD)
    assert said(capsys, "report", folder)[0] == 0
    assert (folder / "report.html").exists()


def test_it_is_listed_without_its_space(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "runs", folder)
    assert code == 0
    assert "stopped" in out
    assert f"networks of {WORD}" in out
