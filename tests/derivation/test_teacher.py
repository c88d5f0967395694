"""What a teacher takes images by, and whose classes it must know."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from bneck.derivation.plan import Plan
from bneck.derivation.pretrained import BY_IMAGENET
from bneck.derivation.teacher import load_teacher
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
