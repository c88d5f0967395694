"""`bneck predict`: pictures in, classes out, one line for every mistake."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import ExifTags, Image

from bneck import records
from bneck.files import write_json
from bneck.results.exports import Trained, export
from bneck.results.run import Run
from bneck.space import presets
from bneck.space.backends import torch_model, weights
from tests.command_line import said
from tests.finished_run import NOTES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported network and pictures of several kinds."""
    folder = tmp_path_factory.mktemp("predict")
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
    state = torch_model.build(arch).state_dict()
    export(Trained(arch, state, NOTES), "onnx", folder / "net.onnx")
    export(Trained(arch, state), "onnx", folder / "bare.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    Image.fromarray(pixels[:, :, 0]).save(folder / "grey.jpg")
    (folder / "notes.txt").write_text("not a picture")
    node = helper.make_node("Relu", ["x"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    onnx.save(helper.make_model(helper.make_graph([node], "g", *[[e] for e in ends])),
              folder / "foreign.onnx")  # fmt: skip
    return folder


def test_pictures_are_classified(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    pictures = folder / "a.png", folder / "grey.jpg"
    code, out, err = said(capsys, "predict", folder / "net.onnx", *pictures, "--json")
    assert code == 0, err
    seen = json.loads(out)["images"]
    assert [image["file"] for image in seen] == [str(picture) for picture in pictures]
    for image in seen:
        shares = list(image["classes"].values())
        assert {*image["classes"]} == {"cat", "dog", "fish"}
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1)
    _, out, _ = said(capsys, "predict", folder / "net.onnx", folder / "a.png", "--top", 1)
    name = next(iter(seen[0]["classes"]))
    assert out.startswith(f"{folder / 'a.png'}: {name} ")
    assert out.count("%") == 1


def test_classes_with_commas_in_their_names_are_told_apart(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=2)
    notes = NOTES | {"classes": '["tench, Tinca tinca", "goldfish"]'}
    export(Trained(arch, torch_model.build(arch).state_dict(), notes), "onnx", tmp_path / "n.onnx")
    _, out, _ = said(capsys, "predict", tmp_path / "n.onnx", folder / "a.png")
    assert re.search(r'"tench, Tinca tinca" \d+\.\d %', out)
    assert re.search(r"goldfish \d+\.\d %", out)


def test_a_line_end_in_a_files_name_ends_no_line(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "a.png", tmp_path / "two\nlines.png")
    _, out, _ = said(capsys, "predict", folder / "net.onnx", tmp_path)
    assert out.count("\n") == 1
    assert out.startswith(f"{tmp_path}/two\\nlines.png: ")


def test_the_tutorials_code_without_bneck_sees_what_predict_sees(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    """Pictures that are transparent, rotated, grey, with a palette, in CMYK, or smaller."""
    rows, columns = np.mgrid[:40, :60]
    ramps = np.stack([4 * columns, 6 * rows, 255 - 4 * columns], axis=2).astype(np.uint8)
    photo = Image.fromarray(ramps)
    see_through = photo.convert("RGBA")
    see_through.putalpha(Image.fromarray(ramps[..., 0]))
    see_through.save(tmp_path / "alpha.png")
    (turned := Image.Exif())[ExifTags.Base.Orientation] = 6
    photo.save(tmp_path / "turned.jpg", exif=turned)
    photo.convert("LA").save(tmp_path / "grey.png")
    photo.quantize(8).save(tmp_path / "palette.png", transparency=2)
    photo.convert("CMYK").save(tmp_path / "cmyk.jpg")
    photo.resize((20, 9)).save(tmp_path / "small.png")
    page = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"Without bneck:\n.*?```python\n(.*?)```", page, re.DOTALL)
    code = code.replace("runs/photos/model.onnx", str(folder / "net.onnx"))
    code = code.replace("print(", "logits = session.run(None, {'image': image})[0][0]\nprint(")
    _, out, _ = said(capsys, "predict", folder / "net.onnx", tmp_path, "--json")
    seen = json.loads(out)["images"]
    assert len(seen) == 6
    for picture in seen:
        names: dict[str, Any] = {}
        exec(code.replace("photos/cat/0000.jpg", picture["file"]), names)  # noqa: S102
        odds = np.exp(names["logits"])
        ours = [picture["classes"][name] for name in names["classes"]]
        assert odds / odds.sum() == pytest.approx(ours, abs=1e-7), picture["file"]


def test_neither_predict_nor_compare_needs_torch(folder: Path) -> None:
    net = str(folder / "net.onnx")
    commands = [
        ["predict", net, str(folder / "a.png")],
        ["compare", net, "mobilenet_v3_small", "--no-measure"],
    ]
    code = (
        f"from bneck.cli import run; codes = [run(each) for each in {commands}]; "
        "import sys; print(codes, {'torch', 'scipy', 'matplotlib'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[0, 0] set()", done.stderr


@pytest.mark.parametrize(
    ("model", "picture", "message"),
    [
        ("net.onnx", "notes.txt", "cannot read {}/notes.txt: not an image"),
        ("net.onnx", "none.png", "no such file: {}/none.png"),
        ("none.onnx", "a.png", "no such file: {}/none.onnx"),
        ("a.png", "a.png", "{}/a.png is not an ONNX file"),
        ("foreign.onnx", "a.png", "{}/foreign.onnx is an ONNX file, but not one that bneck"),
        ("bare.onnx", "a.png", "{}/bare.onnx does not say its classes and mean and std"),
        ("", "a.png", "{} is not a run's folder: it has no plan.toml"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], folder: Path, model: str, picture: str, message: str
) -> None:
    code, _, err = said(capsys, "predict", folder / model, folder / picture)
    assert code == 2
    assert err.startswith(f"bneck: {message.format(folder)}")
    assert len(err.splitlines()) == 1


def test_folders_stand_for_the_images_in_them(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    for place in ("cats", "dogs/old"):
        (tmp_path / place).mkdir(parents=True)
        shutil.copy(folder / "a.png", tmp_path / place)
    (tmp_path / "cats" / "list.txt").write_text("a.png")
    code, out, err = said(capsys, "predict", folder / "net.onnx", tmp_path, "--json")
    assert code == 0
    files = [tmp_path / "cats" / "a.png", tmp_path / "dogs" / "old" / "a.png"]
    seen = json.loads(out)
    assert [image["file"] for image in seen["images"]] == [str(file) for file in files]
    assert seen["passed_over"] == [str(tmp_path / "cats" / "list.txt")]
    file = tmp_path / "cats" / "list.txt"
    assert err == f"warning: passed over, as they are not images: {file}\n"
    (tmp_path / "none").mkdir()
    code, _, err = said(capsys, "predict", folder / "net.onnx", tmp_path / "none")
    assert (code, err) == (2, f"bneck: no images in {tmp_path / 'none'}\n")


def test_one_bad_picture_does_not_hide_the_others(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    code, out, err = said(
        capsys, "predict", folder / "net.onnx", folder / "notes.txt", folder / "a.png"
    )
    assert code == 2
    assert out.startswith(str(folder / "a.png"))
    assert "notes.txt" in err


def test_a_run_without_an_onnx_file_says_how_to_get_one(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    place, picture = tmp_path / "run", folder / "a.png"
    with Run.open(place, {"seed": 0}) as run:
        arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=32, classes=3)
        missing = f"bneck: {place} has no model.onnx: the run is"
        expected = (2, "", f"{missing} running\n")
        assert said(capsys, "predict", place, picture) == expected
        facts = {name: json.loads(NOTES[name]) for name in ("mean", "std")}
        names = json.loads(NOTES["classes"])
        write_json(run.images, {"name": "n", "fingerprint": "f", "class_names": names, **facts})
        records.write(run.seed, arch)
    again = "stopped; run its command again to resume it"
    assert said(capsys, "predict", place, picture) == (2, "", f"{missing} {again}\n")
    records.write(run.network, arch)
    weights.save(run.weights, torch_model.build(arch).state_dict())
    _, _, err = said(capsys, "evaluate", place, "--data=digits")
    command = f"bneck export {place} FILE.onnx"
    assert err == f"{missing} {again}; {command} writes its network as trained so far\n"
    file = tmp_path / "so-far.onnx"
    assert said(capsys, *command.replace("FILE.onnx", str(file)).split()[1:])[0] == 0
    assert said(capsys, "predict", file, picture)[0] == 0
    run.weights.unlink()
    run.ended.write_text("{}")
    _, _, err = said(capsys, "predict", place, picture)
    assert (
        err == f"{missing} finished; it trained no network to keep, as bneck train {place} does\n"
    )
    run.result.write_text("{}")  # of a derivation, of which some files alone were copied
    _, _, err = said(capsys, "predict", place, picture)
    assert err == f"{missing} finished; files of its folder are missing: copy all of it\n"
