"""bneck from Python: cheap to import, results that show themselves."""

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
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
from bneck.notebook import shown
from bneck.quantities import Latency
from bneck.results import metadata
from bneck.results.exports import Trained, export
from bneck.results.record import Outcome, Step
from bneck.results.run import Run
from bneck.space import codec as networks
from bneck.space import presets
from bneck.space.backends import torch_model, weights
from bneck.space.presets import PRESETS
from tests.command_line import said
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
    assert {*bneck.__all__} <= {*dir(bneck)}  # which notebooks complete names by
    with pytest.raises(AttributeError, match="module 'bneck' has no attribute 'derve'"):
        bneck.derve  # noqa: B018


def test_results_show_themselves(folder: Path) -> None:
    html = bneck.open_run(folder)._repr_html_()
    assert "is met" in html
    assert "<td>mobilenet_v3_small</td>" in html
    assert "<svg" in html
    assert "<b>run</b>" not in html
    assert "&lt;b&gt;run&lt;/b&gt;" in html


def test_networks_for_other_targets_stand_beside_it() -> None:
    data = demo.finished(20)
    assert data.outcome is not None
    other = replace(data.outcome, target_ms=0.25)
    html = shown.page(replace(data, others={"targets/0.25ms": other}), Path("report.html"))
    assert "<td>derived for 0.25 ms</td>" in html
    assert "<!-- derived for 0.25 ms -->" in html  # beside the letters' outlines


def test_the_picture_of_what_was_not_measured_is_the_search() -> None:
    data = demo.finished(20)
    assert data.outcome is not None
    predicted = replace(data, outcome=replace(data.outcome, measured=None))
    drawn = [shown.page(one, Path("report.html")) for one in (data, predicted)]
    assert ["measured latency" in html for html in drawn] == [True, False]
    assert "proxy accuracy" in drawn[1]


def test_latencies_that_are_predicted_alone_are_in_the_table() -> None:
    data = demo.finished(20)
    bare = replace(data.baselines[0], measured=None, predicted=Latency(0.4, 0.02))
    page = shown.page(replace(data, baselines=(bare,)), Path("report.html"))
    assert "<td>0.400 ± 0.020 predicted</td>" in page


def test_a_run_is_found_from_any_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(folder.parent)
    results = bneck.open_run(folder.name)
    monkeypatch.chdir(tmp_path)
    assert results.outcome is not None


def test_results_show_themselves_as_text(folder: Path) -> None:
    lines = repr(bneck.open_run(folder)).splitlines()
    assert lines[0] == str(folder)
    assert "The target of 0.2" in lines[1]


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


def test_a_run_that_is_not_trained_yet_exports_no_random_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a kill between the two files of the network leaves it."""
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    with Run.open(tmp_path / "run", {"data": "digits"}, command="bneck derive") as run:
        write_json(run.network, networks.to_json(arch))
    file = tmp_path / "x.onnx"
    code, out, err = said(capsys, "export", tmp_path / "run", file)
    assert (code, out) == (2, "")
    assert "run has no trained weights: the run is stopped" in err
    assert not file.exists()
    weights.save(run.weights, torch_model.build(arch, seed=0).state_dict())
    code, _, err = said(capsys, "export", tmp_path / "run", file)
    assert code == 0
    assert "run was stopped before its end: its weights may not be the final ones" in err
    assert file.exists()


def test_an_export_does_not_replace_the_runs_own_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an 8-bit file says of itself would be taken for the network's from then on."""
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    state = torch_model.build(arch, seed=0).state_dict()
    with Run.open(tmp_path / "run", {"data": "digits"}, command="bneck train") as run:
        write_json(run.network, networks.to_json(arch))
        weights.save(run.weights, state)
        export(Trained(arch, state), "onnx", run.onnx)
    before = run.onnx.read_bytes()
    code, _, err = said(capsys, "export", run.folder, run.onnx, "--resolution", 64)
    assert (code, err) == (2, f"bneck: {run.onnx} is the run's own network: name another file\n")
    with pytest.raises(UsageError, match="is the run's own network: name another file"):
        bneck.open_run(run.folder).export(run.onnx, "onnx-int8")
    assert run.onnx.read_bytes() == before
    bneck.open_run(run.folder).export(run.folder / "other.onnx")
    code, _, err = said(capsys, "export", run.onnx, tmp_path / "x.tflite", "--to", "tflite")
    assert code == 2
    assert re.search(
        r"model\.onnx is an ONNX file; expected a preset, a network's JSON file or", err
    )


@pytest.mark.parametrize("number", [math.nan, -math.inf])
def test_an_export_names_the_weights_that_are_no_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: float
) -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    state = torch_model.build(arch, seed=0).state_dict()
    state["head.classifier.linear.bias"][1] = number
    net, file = tmp_path / "net.json", tmp_path / "weights.safetensors"
    write_json(net, networks.to_json(arch))
    weights.save(file, state)
    code, _, err = said(capsys, "export", net, tmp_path / "x.onnx", "--weights", file)
    assert code == 2
    assert err == f"bneck: {file}: head.classifier.linear.bias has {number}, not finite numbers\n"


def test_a_damaged_onnx_file_of_a_run_is_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    with Run.open(tmp_path / "run", {"data": "digits"}, command="bneck train") as run:
        write_json(run.network, networks.to_json(arch))
        weights.save(run.weights, torch_model.build(arch, seed=0).state_dict())
        run.onnx.write_bytes(b"damaged")
    code, _, err = said(capsys, "export", tmp_path / "run", tmp_path / "x.onnx")
    assert (code, err.splitlines()[-1]) == (2, f"bneck: {run.onnx} is not an ONNX file")


def test_a_truncated_onnx_file_of_a_run_is_written_again_from_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the file said of the images stands in the run too."""
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    about = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1]}
    known = {"name": "digits", "fingerprint": "0" * 12, "class_names": ["a", "b", "c"], **about}
    state = torch_model.build(arch, seed=0).state_dict()
    with Run.open(tmp_path / "run", {"data": "digits"}, command="bneck train") as run:
        write_json(run.network, networks.to_json(arch))
        weights.save(run.weights, state)
        write_json(run.images, known)
        export(Trained(arch, state, metadata.notes(run)), "onnx", run.onnx)
    whole = run.onnx.read_bytes()
    run.onnx.write_bytes(whole[: len(whole) // 2])
    code, _, err = said(capsys, "export", tmp_path / "run", tmp_path / "x.onnx")
    assert code == 0
    assert (
        f"warning: {run.onnx} is not an ONNX file: what only that file said of the network is left "
        "out\n"
    ) in err
    assert (tmp_path / "x.onnx").read_bytes() == whole


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


def test_workers_of_a_plain_script_do_not_run_it_again(tmp_path: Path) -> None:
    """Without ``if __name__ == "__main__"``, as in a notebook; Python's own workers run it.

    Ray tells a script from a notebook by whether there is a ``__file__``, and takes no None.
    """
    script = tmp_path / "script.py"
    script.write_text(
        "from bneck.executors.processes import processes, script_kept_out\n"
        "print('begun', flush=True)\n"
        "with script_kept_out():\n"
        "    executor = processes(1)\n"
        "    print(*executor.map_unordered(abs, [-2]))\n"
        "    executor.close()\n"
        "    print('__file__' in globals())\n"
        "print('__file__' in globals())\n"
    )
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, script], env=os.environ | {"PYTHONPATH": root},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "begun\n(-2, 2)\nFalse\nTrue\n", done.stderr


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
