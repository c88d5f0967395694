"""What a teacher takes images by, and whose classes it must know."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from bneck.cli import run
from bneck.derivation.plan import Plan
from bneck.derivation.pretrained import BY_IMAGENET
from bneck.derivation.teacher import check_teacher, load_teacher
from bneck.errors import UsageError
from bneck.files import write_json
from bneck.proxies.data.image_info import ImageInfo
from bneck.results.run import Run
from bneck.space import codec
from bneck.space.backends import torch_model, weights
from tests.finished_run import finished_run

MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
IMAGES = ImageInfo("photos", ("cat", "dog", "fish"), 32, MEAN, STD, True, 100, 20, "0" * 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, trained on cats, dogs and fish, beside an ONNX file of its network."""
    folder = finished_run(tmp_path_factory.mktemp("teacher"))
    run = Run.read(folder / "runs" / "done")
    weights.save(run.weights, torch_model.build(codec.load(run.network), seed=3).state_dict())
    facts = {"name": "photos", "fingerprint": "1" * 12, "class_names": IMAGES.class_names}
    write_json(run.images, facts | {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1]})
    return folder


@pytest.mark.parametrize(
    ("name", "normalisation"),
    [
        ("runs/done", ((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))),
        ("net.onnx", ((0.5,) * 3, (0.2,) * 3)),
    ],
)
def test_a_teacher_takes_images_as_it_was_trained_on_them(
    name: str, normalisation: tuple[tuple[float, ...], ...], folder: Path
) -> None:
    """Not as the student does."""
    plan = Plan(teacher=str(folder / name))
    found = load_teacher(plan, IMAGES)
    assert found is not None
    assert (found.mean, found.std) == normalisation
    others = replace(IMAGES, class_names=("cat", "fish", "dog"))
    with pytest.raises(UsageError, match=r"has 3 classes, photos has others$"):
        load_teacher(plan, others)


def test_a_file_that_says_nothing_of_itself_takes_images_as_torchvisions_networks_do(
    folder: Path, tmp_path: Path
) -> None:
    model = onnx.load(folder / "net.onnx")
    model.producer_name = "pytorch"
    onnx.save(model, tmp_path / "theirs.onnx")
    found = load_teacher(Plan(teacher=str(tmp_path / "theirs.onnx")), IMAGES)
    assert found is not None
    assert (found.mean, found.std) == BY_IMAGENET


@pytest.mark.parametrize("command", [["train", "mobilenet_v3_small"], ["pretrain"]])
def test_a_teacher_of_other_classes_or_side_is_refused_before_images_are_decoded(
    command: list[str], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """None of these can be: whoever tried would say so."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_text("not an image")
    teacher = folder / "net.onnx"
    words = [*command, f"--data=folder:{tmp_path}", f"--out={tmp_path}-run"]
    assert run([*words, f"--teacher={teacher}", "--resolution=32"]) == 2
    said = f"the teacher {teacher} has 3 classes, folder:{tmp_path} has 2"
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert run([*words, f"--teacher={teacher}", "--resolution=64"]) == 2
    said = f"the teacher {teacher} takes images of 32 px, and these are of 64 px: --resolution 32"
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(("target", "first"), [("1.0", "seed, an ONNX file, a"), (None, "an ONNX")])
def test_an_unknown_teacher_is_told_what_a_teacher_may_be(target: str | None, first: str) -> None:
    with pytest.raises(UsageError, match=f"unknown teacher 'resnet'; expected {first}"):
        check_teacher(Plan(target=target, teacher="resnet"))


@pytest.mark.parametrize("name", ["notes.txt", "w.pth", "w.safetensors"])
@pytest.mark.parametrize("option", ["teacher", "pretrained"])
def test_a_file_that_is_no_weights_is_refused_before_torch_is_there(
    name: str, option: str, tmp_path: Path
) -> None:
    """Its import takes seconds."""
    (tmp_path / name).write_text("no weights at all")
    code = "import sys; from bneck.cli import run; print(run(sys.argv[1:]), 'torch' in sys.modules)"
    words = ["derive", "--target=1", f"--{option}={name}", "--out=run"]
    command = [sys.executable, "-c", code, *words]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout == "2 False\n"
    assert ended.stderr.startswith(f"bneck: {name} holds no weights: expected a file that ends in")
