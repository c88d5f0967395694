"""How the final training is done by default, and as asked."""

import pytest

from bneck.cli import run
from bneck.derivation.plan import Plan
from bneck.derivation.training_budget import budget
from bneck.proxies.data.image_info import ImageInfo
from bneck.proxies.training.recipe import Recipe


def final(side: int, training: int, **asked: object) -> Recipe:
    third = (0.5, 0.5, 0.5)
    info = ImageInfo("photos", ("a", "b"), side, third, third, True, training, 100, "0" * 12)
    return budget(Plan.from_dict(asked), info).final


@pytest.mark.parametrize(
    ("side", "training", "epochs", "augmentation", "batch"),
    [
        (32, 50_000, 80, "crop-and-flip", 128),
        (128, 600, 80, "crop-and-flip", 64),
        (128, 9_469, 15, "crop-and-flip", 256),
        (128, 9_469, 80, "random-resized-crop+trivial-augment", 256),
        (224, 1_281_167, 15, "crop-and-flip", 128),
    ],
)
def test_photos_are_varied_more(
    side: int, training: int, epochs: int, augmentation: str, batch: int
) -> None:
    recipe = final(side, training, epochs=epochs)
    assert (recipe.augmentation, recipe.batch_size) == (augmentation, batch)
    assert recipe.steps == round(epochs * training / batch)
    assert final(side, training, augmentation="crop-and-flip+cutmix").augmentation.endswith(
        "cutmix"
    )


def test_an_unknown_augmentation_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["train", "mobilenet_v3_small", "--augmentation=crop", "--out=nowhere"])
    assert code == 2
    assert "unknown augmentation 'crop'; known: crop-and-flip, random" in capsys.readouterr().err
