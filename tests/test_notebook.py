"""bneck from Python: cheap to import, results that show themselves."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bneck
from bneck import records
from bneck.errors import UsageError
from bneck.results.record import Outcome, Step
from bneck.results.run import Run
from bneck.space.presets import PRESETS
from tests.results import demo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as it could have ended."""
    data = demo.finished(60)
    assert data.outcome is not None
    folder = tmp_path_factory.mktemp("notebook") / "<b>run</b>"
    plan = {"data": "digits", "target": "0.2", "space": "v3-small"}
    with Run.open(folder, plan, command="bneck derive") as run:
        for step in data.steps:
            records.append(run.steps, step)
        for baseline in data.baselines:
            records.append(run.baselines, baseline)
        records.write(run.result, data.outcome)
        about = {"name": "digits", "fingerprint": "0" * 12, "class_names": ["a", "b"]}
        run.images.write_text(json.dumps(about))
    return folder


def test_import_is_cheap_and_lazy() -> None:
    code = (
        "import sys; import bneck; new = {'torch', 'numpy', 'pandas', 'bneck.notebook'}; "
        "print(new & {*sys.modules}, bneck.presets.__name__, bneck.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "bneck.space.presets", bneck.__version__]
    assert bneck.presets.PRESETS is PRESETS
    with pytest.raises(AttributeError, match="module 'bneck' has no attribute 'derve'"):
        bneck.derve  # noqa: B018


def test_results_show_themselves(folder: Path) -> None:
    html = bneck.open_run(folder)._repr_html_()
    assert "is met" in html
    assert "<td>mobilenet_v3_small</td>" in html
    assert "<svg" in html
    assert "<b>run</b>" not in html
    assert "&lt;b&gt;run&lt;/b&gt;" in html


def test_a_latency_model_shows_itself(tmp_path: Path) -> None:
    model = bneck.calibrate(
        tmp_path / "macs.json", runtime="macs", resolution_px=32, classes=10, minutes=1e-6
    )
    html = model._repr_html_()
    assert html.startswith("<p><b>")
    assert f"on {model.report.held_out} networks it had not seen" in html
    assert (tmp_path / "macs.json").exists()


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
    assert results.network is None


def test_the_same_words_are_refused_as_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown name in the plan: 'evalutions'"):
        bneck.derive(2.0, tmp_path / "run", evalutions=3)
    for name in ("weights", "new_classes", "finish", "importance", "seed_network"):
        with pytest.raises(UsageError, match=f"unknown name in the plan: '{name}'"):
            bneck.derive(2.0, tmp_path / "run", **{name: None})
    with pytest.raises(UsageError, match="unknown space 'v9'"):
        bneck.derive(2.0, tmp_path / "run", space="v9")
    with pytest.raises(UsageError, match="is not a run's folder"):
        bneck.open_run(tmp_path)
