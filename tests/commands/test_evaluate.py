"""`bneck evaluate` on a small folder of pictures."""

import json
import re
import shutil
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix

from bneck.cli import run
from bneck.derivation import evaluation
from bneck.errors import UsageError
from bneck.progress import silent
from bneck.proxies.data import loading
from bneck.results.exports import Trained, export
from bneck.results.exports.classifier import open_classifier
from bneck.space import codec
from bneck.space.backends import torch_model, weights
from bneck.units import percent
from tests.command_line import json_of, said
from tests.proxies.data.pictures import draw
from tests.small_networks import saved, three_blocks, three_stages


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    draw(folder, *(f"{part}/{name}" for part in ("train", "valid", "test") for name in "ab"))
    return folder


def own_side(trained: Path) -> int:
    return codec.load(trained / "network.json").resolution_px


@pytest.fixture(scope="module")
def trained(photos: Path) -> Path:
    out = photos.with_name("run")
    arguments = ["--data", f"folder:{photos}", "--epochs", "1", "--out", str(out)]
    assert run(["train", "mobilenet_v3_small", *arguments]) == 0
    return out


def test_a_run_is_evaluated_on_its_own_images_as_its_training_was(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json_of(capsys, "evaluate", trained)
    kept = json.loads((trained / "checkpoints" / "network.json").read_text())
    assert found["part"] == "test"
    page = (trained / "report.html").read_text(encoding="utf-8").replace("\xa0", " ")
    assert f", and {100 * kept['test_accuracy']['value']:.1f} ± " in page
    assert found["accuracy"] == pytest.approx(kept["test_accuracy"]["value"])
    assert sum(map(sum, found["confusion"])) == 10
    assert found["latency_ms"] > 0
    on_val = json_of(capsys, "evaluate", trained, "--part", "val")
    assert on_val["accuracy"] == pytest.approx(kept["accuracy"]["value"])


def test_figures_in_words_are_those_of_the_json(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with one sign for per cent, and under headings that have none."""
    found = json_of(capsys, "evaluate", trained)
    _, text, _ = said(capsys, "evaluate", trained)
    assert f"; balanced {percent(found['balanced_accuracy'])}\n" in text
    assert f"\nconfidence {percent(found['confidence'])} on average" in text
    by_chance = percent(found["calibration_error_by_chance"])
    shown = f"calibration error {percent(found['calibration_error'])} (by chance alone {by_chance})"
    assert f"{shown}, log loss" in text
    assert re.findall("% *%", text) == []
    answers = [any(column) for column in zip(*found["confusion"], strict=True)]
    assert ("It gives every image the class '" in text) == (sum(answers) == 1)
    heading = next(line for line in text.splitlines() if line.startswith("class"))
    assert heading.split() == ["class", "images", "recall", "precision"]


def test_an_onnx_file_and_a_network_with_weights_give_the_runs_figures(
    trained: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = json_of(capsys, "evaluate", trained)
    data = ("--data", f"folder:{photos}")
    weights = trained / "weights.safetensors"
    preset = ("mobilenet_v3_small", "--resolution", own_side(trained), "--weights", weights)
    for net in (
        (trained / "model.onnx",),
        (trained / "network.json", "--weights", weights),
        preset,
    ):
        found = json_of(capsys, "evaluate", *net, *data)
        assert found["confusion"] == own["confusion"]
        assert found["log_loss"] == pytest.approx(own["log_loss"], rel=1e-4)


def test_batches_give_what_images_give_one_by_one(trained: Path) -> None:
    classifier = open_classifier(trained / "model.onnx")
    assert classifier.takes_batches
    side = classifier.resolution_px
    pictures = np.random.default_rng(0).integers(0, 256, (5, side, side, 3), np.uint8)
    alone = np.stack([classifier.probabilities(picture) for picture in pictures])
    assert np.allclose(classifier.probabilities_of(pictures), alone, rtol=1e-6, atol=0)


def test_a_part_is_classified_alike_in_batches(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = json_of(capsys, "evaluate", trained)
    monkeypatch.setattr(evaluation, "TIMED", 4)
    monkeypatch.setattr(evaluation, "BATCH", 4)
    batched = json_of(capsys, "evaluate", trained)
    for name in ("accuracy", "confusion", "log_loss", "calibration_error"):
        assert batched[name] == alone[name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no such run or file: nowhere"),
        (["{run}/model.onnx"], "is not a run, so name the images"),
        (["{run}", "--part", "dev"], "unknown part 'dev'; known: train, val, test"),
        (["{run}", "--data", "digits"], "has 2 classes, digits has 10"),
        (["{run}/network.json", "--data", "digits"], "so name its --weights"),
        (
            ["{run}/report.html"],
            "expected a preset, a network's JSON file or a run's folder, which is",
        ),
        (["{run}/checkpoints", "--data", "digits"], "is not a run's folder: it has no plan.toml"),
        (["{run}", "--resolution", "64"], "--resolution has no effect without --weights"),
        (["{run}", "--weights", "w.pth"], "--weights has no effect on a run or an ONNX file"),
        (["{run}", "--width", "0.5"], "--width has no effect without --weights"),
    ],
)
def test_mistakes_are_one_line(
    trained: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", *(word.format(run=trained) for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error.splitlines()[-1]


def test_a_latency_has_the_deviation_of_its_quartiles() -> None:
    """Of times around 2 ms with a deviation of 0.1 ms, and of the same with a few slow ones."""
    usual = NormalDist(0.002, 0.0001)
    seconds = np.array([usual.inv_cdf((place + 0.5) / 1000) for place in range(1000)])
    for slow in (1.0, 100.0):
        seconds[-5:] *= slow
        found = evaluation._latency(seconds)
        assert found.ms == pytest.approx(2.0)
        assert found.std_ms == pytest.approx(0.1, rel=0.01)


def test_weights_of_what_has_its_own_are_refused_from_python_too(trained: Path) -> None:
    for net in (trained, trained / "model.onnx"):
        with pytest.raises(UsageError, match="--weights has no effect on a run or an ONNX file"):
            evaluation.evaluate_network(
                str(net), "digits", part=None, weights=Path("w.pth"), seed=0, progress=silent
            )


@pytest.mark.parametrize("of_file", [True, False])
def test_images_without_parts_are_divided_by_the_seed_that_is_given(
    of_file: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they were for whoever trained with it: those of seed 0 were its training images."""
    arch, images = three_stages(), loading.load("digits", resolution_px=16, seed=3)
    network = torch_model.build(arch, seed=1).eval()
    network.head.classifier.linear.weight.data *= 100  # so that it gives many classes
    with torch.no_grad():
        given = network(images.normalise(images.val.pixels())).argmax(1)
    expected = confusion_matrix(images.val.labels, given, labels=range(10))
    assert (expected.sum(0) > 0).sum() > 1
    if of_file:
        info = images.info
        about = {"classes": info.class_names, "mean": info.mean, "std": info.std}
        notes = {name: json.dumps(fact) for name, fact in about.items()}
        export(Trained(arch, network.state_dict(), notes), "onnx", tmp_path / "net.onnx")
        net = [tmp_path / "net.onnx"]
    else:
        weights.save(tmp_path / "w.safetensors", network.state_dict())
        net = [saved(arch, tmp_path / "n.json"), "--weights", tmp_path / "w.safetensors"]
    found = json_of(capsys, "evaluate", *net, "--data=digits", "--seed=3", "--part=val")
    assert np.array_equal(found["confusion"], expected)
    share = expected.trace() / 360
    assert found["accuracy"] == pytest.approx(share)
    assert found["accuracy_stderr"] == pytest.approx((share * (1 - share) / 360) ** 0.5)


def test_classes_of_the_same_number_in_another_order_are_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path, "b", "c")
    assert run(["evaluate", str(trained), f"--data=folder:{tmp_path}"]) == 2
    assert f"has the class 'a' where folder:{tmp_path} has 'b'" in capsys.readouterr().err


def test_images_that_changed_since_the_training_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, random = np.arange(30) % 3, np.random.default_rng(0)
    file, out = tmp_path / "x.npz", tmp_path / "run"
    np.savez(file, images=random.integers(0, 256, (30, 16, 16, 3), np.uint8), labels=labels)
    arguments = ["--data", f"npz:{file}", "--resolution", "16", "--epochs", "0.5"]
    arch = three_blocks(resolution_px=16, classes=3, name="mobilenet_v3_small_minimal")
    net = str(saved(arch, tmp_path / "net.json"))
    assert run(["train", net, *arguments, "--out", str(out)]) == 0
    export = ["export", str(out), str(tmp_path / "a.onnx"), "--to", "onnx-int8"]
    assert run(export) == 0
    assert run([*export, "--resolution", "24"]) == 0  # other pixels of the same images
    json_of(capsys, "evaluate", out)
    assert "has changed" not in capsys.readouterr().err
    np.savez(file, images=random.integers(0, 256, (30, 16, 16, 3), np.uint8), labels=labels)
    assert run(export) == 0
    assert (
        "has changed: 8-bit ranges are found, and accuracy is counted, on other images"
        in capsys.readouterr().err
    )
    _, _, err = said(capsys, "evaluate", out)
    assert "has changed: it may have been trained on some of these (fingerprint" in err
    _, _, err = said(capsys, "evaluate", out, "--data", f"npz:{file}")  # whatever it is now
    assert "has changed" not in err


def test_images_that_a_run_was_not_made_with_are_counted_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of its own, wherever they lie, the fifth that its training held out."""

    def arrays(name: str, count: int, seed: int) -> str:
        pixels = np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3), np.uint8)
        np.savez(tmp_path / name, images=pixels, labels=np.arange(count) % 3)
        return f"npz:{tmp_path / name}"

    net = saved(three_blocks(resolution_px=16, classes=3), tmp_path / "net.json")
    photos, moved, fresh = (
        arrays(name, count, seed)
        for name, count, seed in (("a.npz", 60, 1), ("b.npz", 60, 1), ("c.npz", 30, 2))
    )
    out, options = tmp_path / "run", ("--resolution=16", "--epochs=0.5", "--seed=5")
    assert run(["train", str(net), f"--data={photos}", *options, f"--out={out}"]) == 0

    def found(*arguments: object) -> tuple[str, list[list[int]]]:
        one = json_of(capsys, "evaluate", *arguments)
        return one["part"], one["confusion"]

    own = found(out)
    assert (own[0], np.sum(own[1])) == ("val", 12)
    assert found(out, "--data", photos) == found(out, "--data", moved) == own
    whole = found(out, "--data", fresh)
    assert (whole[0], np.sum(whole[1])) == ("all", 30)
    part, of_part = found(out, "--data", fresh, "--part", "val")
    assert (part, np.sum(of_part)) == ("val", 6)
    assert found(out, "--part", "all")[1] != own[1]

    file = out / "model.onnx"
    _, _, err = said(capsys, "evaluate", file, "--data", fresh)
    words = f"only the 6 images that a training on {fresh} holds out are counted; --part all counts"
    assert f"warning: {words} all of them\n" in err
    assert found(file, "--data", fresh, "--part", "all") == whole
    _, text, _ = said(capsys, "evaluate", out, "--data", fresh)
    assert f" on all 30 images of {fresh}; balanced" in text
    code, _, err = said(capsys, "evaluate", out, "--seed", "3")
    assert code == 2
    assert "--seed has no effect on a run, whose own it is" in err

    facts = json.loads((out / "images.json").read_text())  # of an earlier version, which tells less
    (out / "images.json").write_text(json.dumps(facts | {"fingerprint": "0123456789ab"}))
    for data, expected in ((photos, own), (moved, own), (fresh, (part, of_part))):
        assert found(out, "--data", data) == expected
    _, _, err = said(capsys, "evaluate", out, "--data", fresh)
    assert f"warning: {words} all of them\n" in err
    _, _, err = said(capsys, "evaluate", out, "--data", photos)
    assert "--part all" not in err


def test_a_runs_images_that_are_elsewhere_are_told_so(
    trained: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A path that counts from another folder, and one from the root: what helps is not the same."""
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    plan = (copy / "plan.toml").read_text()
    gone = tmp_path / "gone"
    for name, helps in (("photos", "run this where that path begins"), (gone, "put them back")):
        (copy / "plan.toml").write_text(plan.replace(str(photos), str(name)))
        monkeypatch.chdir(tmp_path)
        words = f"bneck: no such folder: {name}, whose images {copy} was made with: {helps}; "
        for command in (("evaluate", copy), ("export", copy, "a.onnx", "--to", "onnx-int8")):
            code, _, err = said(capsys, *command)
            assert (code, err) == (2, f"{words}`bneck evaluate` takes others by --data\n")
    (copy / "plan.toml").write_text(plan.replace(str(photos), photos.name))
    monkeypatch.chdir(photos.parent)
    whole = json_of(capsys, "evaluate", trained)
    assert json_of(capsys, "evaluate", copy)["confusion"] == whole["confusion"]


def test_a_picture_counts_in_the_last_part_alone_that_holds_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of ten images in each part, two to validate by are test images too, and one to train on."""
    folder, out = tmp_path / "images", tmp_path / "run"
    draw(folder, *(f"{part}/{name}" for part in ("train", "val", "test") for name in "ab"))
    for part, names in (("val", ("a/0.png", "b/1.png")), ("train", ("a/0.png",))):
        for name in names:
            shutil.copy(folder / "test" / name, folder / part / name)
    net = saved(three_blocks(resolution_px=32, classes=2), tmp_path / "net.json")
    assert run(["train", str(net), f"--data=folder:{folder}", "--epochs=1", f"--out={out}"]) == 0
    kept = json.loads((out / "checkpoints" / "network.json").read_text())
    for part, count in (("train", 9), ("val", 8), ("test", 10)):
        found = json_of(capsys, "evaluate", out, "--part", part)
        assert sum(map(sum, found["confusion"])) == count
        if part == "val":
            assert found["accuracy"] == pytest.approx(kept["accuracy"]["value"])
    exported = json_of(capsys, "export", out, tmp_path / "a.onnx", "--to", "onnx-int8")
    assert exported["int8"]["images"] == 8
    for name in ("a", "b"):
        shutil.rmtree(folder / "val" / name)
        shutil.copytree(folder / "test" / name, folder / "val" / name)
    _, _, err = said(capsys, "evaluate", out, "--part", "val")
    assert f"all val images of folder:{folder} are in a later part too" in err


def test_a_run_whose_plan_is_empty_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a power loss leaves it."""
    (tmp_path / "plan.toml").write_bytes(b"")
    assert run(["evaluate", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "plan.toml does not name the run's images and seed: data = None, seed = None" in said


def test_a_runs_images_are_passed_over_as_they_were_in_its_training(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, copy = tmp_path / "images", tmp_path / "run"
    pixels = np.random.default_rng(0).integers(0, 256, (150, 8, 8, 3), np.uint8)
    for number, picture in enumerate(pixels):
        file = folder / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)
    (folder / "a" / "broken.png").write_bytes(b"no image")
    shutil.copytree(trained, copy)
    others = (copy / "plan.toml").read_text().splitlines()
    plan = [line for line in others if not line.startswith(("data =", "skip_unreadable ="))]
    plan.append(f'data = "folder:{folder}"')
    (copy / "plan.toml").write_text("\n".join(plan))
    assert run(["evaluate", str(copy)]) == 2
    assert "broken.png" in capsys.readouterr().err
    (copy / "plan.toml").write_text("\n".join([*plan, "skip_unreadable = true"]))
    assert sum(map(sum, json_of(capsys, "evaluate", copy)["confusion"])) == 30
    given = json_of(capsys, "evaluate", copy, f"--data=folder:{folder}")
    assert sum(map(sum, given["confusion"])) == 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}"], r"/run has 2 classes, folder:\S+ has 3$"),
        (["{run}/model.onnx"], r"/run/model\.onnx has 2 classes, folder:\S+ has 3$"),
        (
            ["{run}/network.json", "--weights", "{run}/weights.safetensors"],
            r"weights\.safetensors: head\.\S+ has shape .* the network needs \[3, ",
        ),
        (["{run}/model.onnx", "--part", "test"], r" has no test images; it has train, val$"),
    ],
)
def test_images_that_will_not_do_are_refused_before_any_is_decoded(
    trained: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """None of these can be: whoever tried would say so."""
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_text("not an image")
    words = (word.format(run=trained) for word in arguments)
    assert run(["evaluate", *words, "--data", f"folder:{tmp_path}"]) == 2
    assert re.search(message, capsys.readouterr().err.splitlines()[-1])


def test_own_images_of_other_classes_by_now_are_refused_before_any_is_decoded(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, copy = tmp_path / "images", tmp_path / "run"
    for name in "abc":
        (images / name).mkdir(parents=True)
        (images / name / "0.png").write_text("not an image")
    shutil.copytree(trained, copy)
    (copy / "plan.toml").write_text(f'data = "folder:{images}"\nseed = 0\n')
    assert run(["evaluate", str(copy)]) == 2
    message = f"{copy} has 2 classes, folder:{images} has 3"
    assert message in capsys.readouterr().err.splitlines()[-1]
