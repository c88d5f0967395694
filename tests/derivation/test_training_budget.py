"""How trainings are done by default, and as asked."""

from dataclasses import replace

import pytest

from bneck.cli import run
from bneck.derivation.plan import Plan
from bneck.derivation.training_budget import Budget, budget, folds
from bneck.errors import UsageError
from bneck.proxies.data.image_info import ImageInfo
from bneck.proxies.training.recipe import Recipe


def photos(side: int, training: int, left_out: int = 0) -> ImageInfo:
    third = (0.5, 0.5, 0.5)
    return ImageInfo(
        "photos", ("a", "b"), side, third, third, True, training, 100, "0" * 12,
        training_left_out=left_out,
    )  # fmt: skip


def budget_of(side: int, training: int, left_out: int = 0, **asked: object) -> Budget:
    return budget(Plan.from_dict(asked), photos(side, training, left_out))


def final(side: int, training: int, **asked: object) -> Recipe:
    return budget_of(side, training, **asked).final


@pytest.mark.parametrize(
    ("side", "training", "batch", "rate", "epochs"),
    [
        (32, 100, 25, 3e-3, 30),
        (224, 4_999, 64, 3e-3, 30),
        (32, 5_000, 128, 3e-3, 15),
        (95, 5_000, 128, 3e-3, 15),
        (96, 5_000, 256, 4e-3, 15),
        (128, 5_000, 256, 4e-3, 15),
        (129, 5_000, 128, 3e-3, 15),
    ],
)
def test_final_trainings_are_those_of_the_table_in_the_docs(
    side: int, training: int, batch: int, rate: float, epochs: int
) -> None:
    """docs/training.md."""
    recipe = final(side, training)
    assert (recipe.batch_size, recipe.learning_rate, recipe.ema) == (batch, rate, 0.998)
    assert recipe.steps == round(epochs * training / batch)
    assert recipe.augmentation == "crop-and-flip"


def test_images_that_are_left_out_do_not_make_a_set_large() -> None:
    found = budget_of(128, 5_050, left_out=100)
    assert (found.search.batch_size, found.final.batch_size) == (64, 64)
    assert found.final.steps == round(30 * 4_950 / 64)


@pytest.mark.parametrize(
    ("training", "steps", "inherited", "fine_tune"),
    [
        (160, 100, 50, 7),
        (4_000, 350, 87, 100),  # 7 epochs of four fifths; a fourth; 2 epochs
        (50_000, 468, 117, 100),
    ],
)
def test_labels_take_longer_from_random_weights(
    training: int, steps: int, inherited: int, fine_tune: int
) -> None:
    scratch, heir = (budget_of(64, training, **how) for how in ({}, {"pretrained": "imagenet"}))
    assert (scratch.search.steps, scratch.search.learning_rate) == (steps, 3e-3)
    assert (heir.search.steps, heir.search.learning_rate) == (inherited, 1e-3)
    assert (scratch.fine_tune.steps, scratch.fine_tune.learning_rate) == (fine_tune, 1e-3)
    assert scratch.fine_tune == heir.fine_tune


def test_trained_weights_are_trained_further_at_a_lower_rate() -> None:
    heir = {"pretrained": "imagenet"}
    assert final(64, 50_000, **heir).learning_rate == 1e-3
    assert final(64, 50_000, **heir, finish="fine-tune").learning_rate == 1e-3
    assert final(64, 50_000, **heir, finish="scratch").learning_rate == 3e-3
    assert final(64, 50_000, **heir, from_scratch=True).learning_rate == 3e-3


@pytest.mark.parametrize(
    ("side", "training", "epochs", "augmentation", "batch"),
    [
        (32, 50_000, 80, "crop-and-flip", 128),
        (128, 600, 80, "crop-and-flip", 64),
        (128, 9_469, 39, "crop-and-flip", 256),
        (128, 9_469, 40, "random-resized-crop+trivial-augment", 256),
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


def test_every_training_has_the_plans_images_and_its_balance() -> None:
    """Proxies see 20,000 images, 5,000 more judge, at 96 px; small sets are seen whole."""
    plain, found = (
        budget_of(128, 5_000, data="folder:x", seed=5, balanced=one) for one in (False, True)
    )
    for kind in ("search", "fine_tune", "final"):
        assert getattr(found, kind) == replace(getattr(plain, kind), balanced=True)
    images, third = found.images, (0.5, 0.5, 0.5)
    assert (images.spec, images.seed, images.fingerprint) == ("folder:x", 5, "0" * 12)
    assert (images.mean, images.std) == (third, third)
    assert (images.resolution_px, images.proxy_px) == (128, 96)
    assert (images.train, images.val) == (20_000, 5_000)
    small = budget_of(64, 4_999).images
    assert (small.proxy_px, small.train, small.val) == (64, None, None)


def test_no_label_of_a_search_shows_more_images_than_the_final_training() -> None:
    """Whose batches are twice as large for photos: of 15 epochs, each label has twice the steps."""
    found = budget_of(128, 9_469)
    assert (found.search.batch_size, found.final.batch_size) == (128, 256)
    assert found.most_search_steps == 2 * found.final.steps == 2 * round(15 * 9_469 / 256)
    short = budget_of(32, 50_000, epochs=0.01, search_steps=50)
    assert short.most_search_steps == 50  # but no fewer than the first rung's


def test_each_fold_needs_two_images() -> None:
    assert folds(Plan(folds=4), photos(32, 9)) == 4
    with pytest.raises(UsageError, match="--folds 5 leaves less than two of 9 training images in"):
        folds(Plan(folds=5), photos(32, 9))


def test_an_unknown_augmentation_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["train", "mobilenet_v3_small", "--augmentation=crop", "--out=nowhere"])
    assert code == 2
    assert "unknown augmentation 'crop'; known: crop-and-flip, random" in capsys.readouterr().err
