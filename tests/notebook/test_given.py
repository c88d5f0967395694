"""What Python's functions take, and what they refuse as the command line does."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bneck
from bneck.errors import UsageError
from bneck.machine import cores
from bneck.results.run import Run
from bneck.space import presets


def test_the_same_words_are_refused_as_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown name in the plan: 'evalutions'"):
        bneck.derive(2.0, tmp_path / "run", evalutions=3)
    for name in ("weights", "finish", "importance", "seed_network"):
        with pytest.raises(UsageError, match=f"unknown name in the plan: '{name}'"):
            bneck.derive(2.0, tmp_path / "run", **{name: None})
    with pytest.raises(UsageError, match=r"'reward'; it is an option of `bneck search` alone$"):
        bneck.derive(2.0, tmp_path / "run", reward="hard")
    with pytest.raises(UsageError, match="unknown space 'v9'"):
        bneck.derive(2.0, tmp_path / "run", space="v9")
    with pytest.raises(UsageError, match="'__main__:Own' is in the notebook or script itself"):
        bneck.derive(2.0, tmp_path / "run", proxy="__main__:Own")
    for where in ({"ray": "local"}, {"time_limit_s": 60.0}):  # whose one worker is another process
        with pytest.raises(UsageError, match="or give workers=1 without ray and a time limit"):
            bneck.derive(2.0, tmp_path / "run", proxy="__main__:Own", workers=1, **where)
    with pytest.raises(UsageError, match="derive needs a target, or None and targets="):
        bneck.derive(None, tmp_path / "run")
    with pytest.raises(UsageError, match="targets names 1 twice: '1,1'"):
        bneck.derive(None, tmp_path / "run", targets="1,1")
    with pytest.raises(UsageError, match="is not a run's folder"):
        bneck.open_run(tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"wait_quiet": "x"}, "wait-quiet must be a number from 0 to 10000, got 'x'"),
        ({"wait_quiet": None}, "wait-quiet must be a number from 0 to 10000, got None"),
        ({"workers": "2"}, "workers must be a whole number from 1 to 10000, got '2'"),
        ({"workers": 1.5}, "workers must be a whole number from 1 to 10000, got 1.5"),
        ({"gpus": "1"}, "gpus must be a whole number from 0 to 1024, got '1'"),
        ({"ray": 3}, "ray must be text, got 3"),
        ({"ray": "head"}, "ray must be auto, local or ray://HOST:PORT, got 'head'"),
        ({"time_limit_s": "x"}, "time-limit must be a number, got 'x'"),
        ({"gpus_per_trial": 0.5}, "--gpus-per-trial needs --ray, which hands the GPUs out"),
        ({"epochs": float("nan")}, "must be a finite number, got nan"),
        ({"evaluations": "3"}, "evaluations must be a whole number, got '3'"),
        ({"data": 3}, "data must be text, got 3"),
        ({"space": None}, "space must be text, got None"),
    ],
)
def test_values_of_a_wrong_type_are_refused(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        bneck.derive(2.0, tmp_path / "run", **given)


def test_the_command_that_is_noted_can_be_given_again(tmp_path: Path) -> None:
    """A report shows it: ``target`` cannot be left out, whatever ``targets`` says."""

    def stopped(*_: object) -> None:
        raise RuntimeError("the run has begun")

    out = tmp_path / "run"
    with pytest.raises(RuntimeError, match="the run has begun"):
        bneck.derive(None, out, targets="1,2", progress=stopped)
    (session,) = Run.read(out).read_sessions()
    given = f"target=None, data='digits', space='v3-small', targets='1,2', out={str(out)!r}"
    assert session.command == f"bneck.derive({given})"


def test_objects_of_ones_own_are_named(tmp_path: Path) -> None:
    """A plan is a file, which holds no function."""
    odd: Any = presets.build
    said = r"must be text, got <function .*: put it into a module and name it, as package.module:"
    for name in ("space", "data", "proxy", "sampler", "runtime"):
        with pytest.raises(UsageError, match=f"^{name} {said}"):
            bneck.derive(2.0, tmp_path / "run", **{name: odd})
    for name in ("space", "runtime"):
        with pytest.raises(UsageError, match=f"^{name} {said}"):
            bneck.calibrate(tmp_path / "m.json", **{name: odd})
    assert list(tmp_path.iterdir()) == []


def test_a_calibration_with_more_threads_than_cores_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `bneck calibrate` does, and before any minutes."""
    with pytest.raises(UsageError, match="minutes must be"):
        bneck.calibrate(tmp_path / "m.json", threads=cores() + 1, minutes=0)
    assert f"warning: --threads {cores() + 1} is more than this" in capsys.readouterr().err


def test_places_that_cannot_be_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty path is the working directory, which a run must not begin in by mistake."""
    monkeypatch.chdir(tmp_path)
    for place, words in (
        ("", "must not be empty"),
        (None, "must be a path, got None"),
        (5, "got 5"),
    ):
        odd: Any = place
        with pytest.raises(UsageError, match=f"out .*{words}"):
            bneck.derive(2.0, odd)
        with pytest.raises(UsageError, match=f"out .*{words}"):
            bneck.calibrate(odd, runtime="macs")
        with pytest.raises(UsageError, match=f"folder .*{words}"):
            bneck.open_run(odd)
    with pytest.raises(UsageError, match="is a folder: name a file"):
        bneck.calibrate(tmp_path, runtime="macs")
    for name in ("space", "runtime", "target_device"):
        with pytest.raises(UsageError, match="must be text, got 3"):
            bneck.calibrate("m.json", **{"runtime": "macs", name: 3})
        with pytest.raises(UsageError, match=r"must be text, got .*Path"):
            bneck.calibrate("m.json", **{"runtime": "macs", name: Path("v3-small")})
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_numpys_and_paths_are_taken_as_pythons_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a loop over np.arange, or a path of pathlib's, gives them."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert presets.build(
        "mobilenet_v3_small",
        width=np.float32(0.75),  # type: ignore[arg-type]
        resolution_px=np.int64(96),  # type: ignore[arg-type]
        classes=np.uint8(10),  # type: ignore[arg-type]
    ) == presets.build("mobilenet_v3_small", width=0.75, resolution_px=96, classes=10)
    model = bneck.calibrate(
        "~/model.json",
        runtime="macs",
        resolution_px=np.int64(32),  # type: ignore[arg-type]
        classes=np.int64(10),  # type: ignore[arg-type]
        minutes=np.float32(0.01),  # type: ignore[arg-type]
    )
    assert model.resolution_px == 32
    assert (tmp_path / "model.json").is_file()
    given: dict[str, Any] = {"evaluations": np.int64(2), "epochs": np.float32(0.5), "promote": True}
    given |= {"workers": np.int64(1), "latency": tmp_path / "none.json", "data": "digits"}
    for latency in (tmp_path / "none.json", "~/none.json"):
        with pytest.raises(UsageError, match=f"no such file: {tmp_path / 'none.json'}"):
            bneck.derive(2.0, "~/run", **given | {"latency": latency})
    with pytest.raises(UsageError, match="unknown image data 'photos'; known"):
        bneck.derive(2.0, "~/run", data=Path("photos"))  # type: ignore[arg-type]


def test_what_is_no_word_or_function_is_refused(tmp_path: Path, folder: Path) -> None:
    odd: Any = ["mobilenet_v3_small"]
    with pytest.raises(UsageError, match="unknown preset \\['mobilenet_v3_small'\\]; known"):
        presets.build(odd)
    with pytest.raises(UsageError, match="unknown export format \\['mobilenet_v3_small'\\]; known"):
        bneck.open_run(folder).export(tmp_path / "a.onnx", odd)
    no_function: Any = True
    for begin in (
        lambda: bneck.derive(2.0, tmp_path / "run", progress=no_function),
        lambda: bneck.calibrate(tmp_path / "m.json", runtime="macs", progress=no_function),
    ):
        with pytest.raises(UsageError, match="progress must be a function, or None to show it"):
            begin()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", ["5", None, -1, 0.5])
def test_seeds_that_cannot_be_are_refused(tmp_path: Path, seed: Any) -> None:
    said = re.escape(f"seed must be a whole number from 0 to 4294967295, got {seed!r}")
    with pytest.raises(UsageError, match=said):
        bneck.calibrate(tmp_path / "m.json", runtime="macs", seed=seed)
    Run.open(tmp_path / "run", {"data": "digits"}).close()
    with pytest.raises(UsageError, match=said):
        bneck.open_run(tmp_path / "run").export(tmp_path / "net.onnx", seed=seed)


@pytest.mark.parametrize("minutes", ["5", None, float("nan"), 0])
def test_minutes_that_cannot_be_are_refused(tmp_path: Path, minutes: Any) -> None:
    said = f"minutes must be a number above 0 and at most 10000, got {minutes!r}"
    with pytest.raises(UsageError, match=re.escape(said)):
        bneck.calibrate(tmp_path / "m.json", runtime="macs", minutes=minutes)
