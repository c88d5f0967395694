"""``--pretrained``: what the word names, what is inherited, and what it refuses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import onnx
import pytest
import torch
import torchvision
from safetensors.torch import save_file

import bneck
from bneck import records
from bneck.cli import run
from bneck.derivation.plan import Plan
from bneck.derivation.pretrained import BY_IMAGENET, TORCHVISION, load_pretrained
from bneck.derivation.session import Session
from bneck.derivation.stages.data import data_stage
from bneck.derivation.stages.pretrained import pretrained_stage
from bneck.derivation.stages.seen_images import warn_of_teacher
from bneck.derivation.stages.teacher import named_teacher
from bneck.errors import BneckError, UsageError
from bneck.executors.serial import Serial
from bneck.results.record import Inherited
from bneck.results.run import Run
from bneck.results.stage_record import SearchResult
from bneck.space import codec, presets, spaces
from bneck.space.backends import torch_model, weights
from bneck.space.backends.parent import Parent
from bneck.space.cost import cost
from tests.small_networks import saved, three_stages

THEIRS = {
    "mobilenet_v2": torchvision.models.mobilenet_v2,
    "mobilenet_v3_small": torchvision.models.mobilenet_v3_small,
    "mobilenet_v3_large": torchvision.models.mobilenet_v3_large,
    "mnasnet_b1": torchvision.models.mnasnet1_0,
}

SMALL_SPACE = "tests.small_networks:small_space"
TARGET = "0.076x:mobilenet_v3_small"
"""0.95 times as long as the network of three blocks takes."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one network, of the classes of the digits; no test asks how accurate it is."""
    out = tmp_path_factory.mktemp("trained") / "run"
    command = ["train", "mobilenet_v3_small", "--data=digits", "--resolution=16", "--seed=7"]
    assert run([*command, "--epochs=0.1", f"--out={out}", "--json"]) == 0
    return out


@pytest.fixture(scope="module")
def small_trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a network of three blocks that has learnt, of the same classes."""
    folder = tmp_path_factory.mktemp("small_trained")
    small = saved(three_stages(), folder / "small.json")
    command = ["train", str(small), "--data=digits", "--resolution=16", "--seed=7"]
    assert run([*command, "--epochs=2", f"--out={folder}/run", "--json"]) == 0
    return folder / "run"


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_weights_are_recognised_in_both_kinds_of_file(
    name: str, tmp_path: Path
) -> None:
    """Also where the space is that of another network, and the names are in safetensors' order."""
    torch.manual_seed(0)
    theirs = THEIRS[name](num_classes=6).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    images = torch.randn(2, 3, 64, 64)
    for file in ("w.pth", "w.safetensors"):
        found = load_pretrained(str(tmp_path / file), "cpu-small", None)
        assert found.arch == presets.build(name, classes=6)
        assert found.normalisation == BY_IMAGENET
        ours = torch_model.Network(found.arch).eval()
        ours.load_state_dict(found.state)
        with torch.no_grad():
            torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_downloaded_is_named_with_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(BneckError) as caught:
        load_pretrained("imagenet", "v3-small", None)
    name = "mobilenet_v3_small-047dcff4.pth"
    assert f"cannot download https://download.pytorch.org/models/{name}" in str(caught.value)
    assert f"put that file into {tmp_path / 'checkpoints'}" in str(caught.value)
    torch.save(THEIRS["mobilenet_v3_small"]().state_dict(), tmp_path / "checkpoints" / name)
    assert load_pretrained("imagenet", "v3-small", None).arch.classes == 1000


def test_imagenet_is_of_the_network_or_of_the_space() -> None:
    with pytest.raises(
        UsageError,
        match="does not say whose weights are meant, as torchvision has none for mobilenet_v1; n",
    ):
        load_pretrained("imagenet", "v3-small", "mobilenet_v1")
    with pytest.raises(
        UsageError, match="has none for the space nas-bench-macro; name one of: mobilenet_v2"
    ):
        load_pretrained("imagenet", "nas-bench-macro", None)
    with pytest.raises(UsageError, match="unknown pretrained network 'resnet'; expected a run's"):
        load_pretrained("resnet", "v3-small", None)


def test_a_folder_that_is_not_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"^{tmp_path} is not a run's folder: it has no plan.toml"):
        load_pretrained(str(tmp_path), "v3-small", None)


def test_weights_of_another_network_are_refused_by_their_first_tensor(tmp_path: Path) -> None:
    state = torchvision.models.squeezenet1_1().state_dict()
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UsageError, match=r"is not of a network that bneck knows: features\.0"):
        load_pretrained(str(tmp_path / "w.pth"), "v3-small", None)
    save_file({"a": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match=r"knows: .*: missing tensor stem\.conv"):
        load_pretrained(str(tmp_path / "w.safetensors"), "v3-small", None)


@pytest.mark.parametrize("of_torchvision", [True, False])
def test_weights_that_are_no_numbers_are_named(of_torchvision: bool, tmp_path: Path) -> None:
    """Whoever wrote the file: what learns from them could only end with a loss that is none."""
    arch = presets.build("mobilenet_v3_small")
    theirs, ours = THEIRS["mobilenet_v3_small"](), torch_model.build(arch, seed=0)
    state = (theirs if of_torchvision else ours).state_dict()
    last = list(state)[-1]
    state[last][3] = float("nan")
    file = tmp_path / "w.safetensors"
    save_file(state, file)
    said = f"^{file}: head.classifier.linear.bias has nan, not finite numbers$"
    with pytest.raises(UsageError, match=said):
        load_pretrained(str(file), "v3-small", None)


@pytest.mark.usefixtures("few_random_networks")
def test_a_derivation_begins_with_a_runs_weights_at_every_stage(
    small_trained: Path, digits_latency: Path, tmp_path: Path
) -> None:
    """Nothing is trained for more than a step or two, so that the weights stay what they were."""
    out = tmp_path / "run"
    results = bneck.derive(
        TARGET,
        out,
        space=SMALL_SPACE,
        workers=1,
        progress=lambda *_: None,
        pretrained=str(small_trained),
        resolution_px=16,
        runtime="macs",
        latency=str(digits_latency),
        sampler="random",
        evaluations=2,
        search_steps=1,
        fine_tune_steps=1,
        delta=0.1,
        epochs=0.05,
    )
    inherited = records.read(out / "inherited.json", Inherited)
    assert inherited.source == str(small_trained)
    assert inherited.share > 0.5
    assert {"stem.conv", "s3.b1.project", "head.classifier"} <= {*inherited.paths}
    arch = three_stages()
    kernels = "stem.conv.conv.weight"
    before = weights.load(small_trained / "weights.safetensors", arch)[kernels]
    assert results.architecture is not None
    after = weights.load(out / "weights.safetensors", results.architecture)[kernels]
    assert float((after - before).abs().max()) < 0.02
    assert float((after - torch_model.build(arch).state_dict()[kernels]).abs().max()) > 0.02
    assert "Pretrained weights" in (out / "report.html").read_text()
    assert "a training from pretrained weights" in (out / "model_card.md").read_text()


def test_the_pretrained_network_itself_competes(
    small_trained: Path, digits_latency: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step after inheriting, none is as accurate as the network that had all the training.

    Killed before the winners are written, the search trains none of them again.
    """
    command = [
        "search", f"--pretrained={small_trained}", "--resolution=16", "--runtime=macs",
        f"--latency={digits_latency}", "--sampler=random", "--evaluations=2", "--search-steps=1",
        f"--target={TARGET}", f"--space={SMALL_SPACE}", "--workers=1",
        f"--out={tmp_path / 'run'}",
    ]  # fmt: skip
    assert run(command) == 0
    found = records.read(tmp_path / "run" / "winners.json", SearchResult).networks[0]
    arch = three_stages()
    assert (found.arch, found.pretrained) == (arch, True)
    assert "the pretrained network" in (tmp_path / "run" / "report.html").read_text()
    (tmp_path / "run" / "winners.json").unlink()
    monkeypatch.setattr("bneck.derivation.stages.competitors.evaluate_outside", None)
    assert run(command) == 0
    assert records.read(tmp_path / "run" / "winners.json", SearchResult).networks == (found,)


def test_a_search_is_refused_pretrained_weights_that_were_trained_again(
    small_trained: Path, digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = shutil.copytree(small_trained, tmp_path / "trained")
    command = [
        "search", f"--pretrained={moved}", "--resolution=16", "--runtime=macs",
        f"--latency={digits_latency}", "--sampler=random", "--search-steps=1",
        f"--target={TARGET}", f"--space={SMALL_SPACE}", "--workers=1",
        f"--out={tmp_path / 'run'}",
    ]  # fmt: skip
    assert run([*command, "--evaluations=1"]) == 0
    assert run([*command, "--evaluations=2"]) == 0
    small = str(small_trained.parent / "small.json")
    again = ["train", small, "--data=digits", "--resolution=16", "--seed=7"]
    assert run([*again, "--epochs=0.1", f"--out={moved}"]) == 0
    capsys.readouterr()
    assert run([*command, "--evaluations=3"]) == 2
    assert "weights of SHA-256" in capsys.readouterr().err.splitlines()[-1]


def test_a_network_of_another_space_and_other_classes_says_what_it_inherits(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.arange(40) % 4  # of four classes, where the pretrained network has ten
    pixels = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    np.savez(tmp_path / "few.npz", images=pixels, labels=labels)
    train = ["train", "mnasnet_small", f"--data=npz:{tmp_path / 'few.npz'}", "--resolution=16"]
    words = ("--epochs=0.05", f"--pretrained={trained}", f"--out={tmp_path}/run")
    assert run([*train, *words]) == 0
    said = capsys.readouterr().err
    assert "the classifier is new: 10 classes there, 4 here" in said
    assert "of the weights, in" in said
    assert f"layers, are inherited from {trained}; new: s" in said
    assert json.loads((tmp_path / "run" / "inherited.json").read_text())["share"] < 0.9


@pytest.mark.parametrize("from_scratch", [False, True])
def test_labels_that_do_not_suit_the_last_training_are_warned_of(
    from_scratch: bool, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fine-tunings rank networks badly that are trained from random weights in the end."""
    plan = Plan(
        target="1",
        data="digits",
        resolution_px=16,
        pretrained=str(trained),
        from_scratch=from_scratch,
    )
    session = Session(Run(tmp_path, {}), plan, Serial(), Serial())
    arch = presets.build("mobilenet_v3_small", resolution_px=16, classes=10)
    assert pretrained_stage(session, data_stage(session), arch) is not None
    warned = "rank networks that --from-scratch trains in the end badly"
    assert (warned in capsys.readouterr().err) == from_scratch


@pytest.mark.parametrize(
    ("asked", "warned"),
    [
        ({"seed": 0, "target": "1"}, "also on images that accuracies are counted on here"),
        ({"seed": 0}, "which will be too high: use its --seed 7"),
        ({"seed": 7, "target": "1"}, "on all training images of digits, and on a part of these"),
        ({"seed": 7}, None),
    ],
)
@pytest.mark.parametrize("word", ["", "weights.safetensors"])
def test_weights_that_have_seen_the_judging_images_are_warned_of(
    word: str,
    asked: dict[str, Any],
    warned: str | None,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The seed divides the digits; what only trains counts on the final images alone."""
    plan = Plan(data="digits", resolution_px=16, pretrained=str(trained / word), **asked)
    session = Session(Run(tmp_path, {}), plan, Serial(), Serial())
    arch = presets.build("mobilenet_v3_small", resolution_px=16, classes=10)
    assert pretrained_stage(session, data_stage(session), arch) is not None
    said = capsys.readouterr().err
    assert ("warning: " in said) == (warned is not None)
    assert warned is None or warned in said


@pytest.mark.parametrize(("seed", "warned"), [(0, True), (7, False)])
@pytest.mark.parametrize("word", ["", "model.onnx"])
def test_a_teacher_that_has_seen_the_judging_images_is_warned_of(
    word: str,
    seed: int,
    warned: bool,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = Plan(data="digits", resolution_px=16, seed=seed, teacher=str(trained / word))
    session = Session(Run(tmp_path, {}), plan, Serial(), Serial())
    assert named_teacher(session, data_stage(session)) is not None
    said = capsys.readouterr().err
    warning = f"warning: {trained} was trained on other parts of digits than --seed 0 makes"
    assert (warning in said) == warned


def test_what_torchvision_publishes_is_not_of_the_run_that_one_stands_in(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = Plan(data="digits", resolution_px=16, seed=0)
    data = data_stage(Session(Run(tmp_path, {}), plan, Serial(), Serial()))
    monkeypatch.chdir(trained)
    warn_of_teacher(replace(plan, teacher="mobilenet_v2"), data)
    assert capsys.readouterr().err == ""


def test_a_run_without_a_network_is_refused(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text((trained / "plan.toml").read_text())
    with pytest.raises(UsageError, match="has no trained network; it is stopped"):
        load_pretrained(str(tmp_path), "v3-small", None)


def test_the_largest_network_of_a_space_is_pretrained(tmp_path: Path) -> None:
    """Every network of it inherits from its first layer to its last."""
    out, command = tmp_path / "run", ["pretrain", "--space=nas-bench-macro", "--data=digits"]
    assert run([*command, "--resolution=16", "--epochs=0.05", f"--out={out}"]) == 0
    space = spaces.build("nas-bench-macro", resolution_px=16, classes=10)
    found = load_pretrained(str(out), "nas-bench-macro", None)
    most = max(cost(space.decode(space.sample(seed))).params for seed in range(20))
    assert cost(found.arch).params > most
    small = space.least(lambda arch: cost(arch).params)
    inherited = Parent.of(found.arch, found.state).weights_for(small, seed=0)
    assert {"stem.conv", "head.classifier"} <= {*inherited.paths}
    assert "the largest of nas-bench-macro" in (out / "report.html").read_text()


@pytest.mark.parametrize("name", ["", "model.onnx"])
def test_a_run_and_its_onnx_file_can_teach(
    name: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "mobilenet_v3_small", "--data=digits", f"--teacher={trained / name}"]
    assert run([*command, "--resolution=16", "--epochs=0.05", f"--out={tmp_path}/a"]) == 0
    capsys.readouterr()
    assert run([*command, "--resolution=24", f"--out={tmp_path}/b"]) == 2
    assert "takes images of 16 px, and these are of 24 px" in capsys.readouterr().err


def test_what_an_onnx_teacher_says_of_itself_counts_if_bneck_wrote_it(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, file = onnx.load(trained / "model.onnx"), tmp_path / "t.onnx"
    next(note for note in model.metadata_props if note.key == "mean").value = "grey"
    onnx.save(model, file)
    command = ["train", "mobilenet_v3_small", "--data=digits", f"--teacher={file}"]
    command += ["--resolution=16", "--epochs=0.05", f"--out={tmp_path}/a"]
    assert run(command) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-1] == f"bneck: {file}: the metadata 'mean' must be JSON, got 'grey'"
    model.producer_name = "pytorch"
    onnx.save(model, file)
    assert run(command) == 0


def test_an_onnx_teacher_gives_a_number_for_each_class(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, file = onnx.load(trained / "model.onnx"), tmp_path / "t.onnx"
    for sizes in ([], [1, 8400, 10]):
        shape = onnx.TensorShapeProto(
            dim=[onnx.TensorShapeProto.Dimension(dim_value=size) for size in sizes]
        )
        model.graph.output[0].type.tensor_type.shape.CopyFrom(shape)
        onnx.save(model, file)
        command = ["train", "mobilenet_v3_small", "--data=digits", f"--teacher={file}"]
        assert run([*command, "--resolution=16", f"--out={tmp_path}/a"]) == 2
        assert f"t.onnx gives {sizes}, not a number for each class" in capsys.readouterr().err


@pytest.mark.slow
def test_the_seed_of_a_derivation_can_teach(
    trained: Path, digits_latency: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is trained first, from the weights that NetAdapt began with, and then left alone."""
    out = tmp_path / "run"
    command = [
        "derive", "--target=0.95x:mobilenet_v3_small", "--data=digits", "--resolution=16",
        "--runtime=macs", f"--latency={digits_latency}", "--sampler=random", "--evaluations=2",
        "--search-steps=1", "--fine-tune-steps=1", "--delta=0.1", "--epochs=0.05", "--workers=1",
        f"--pretrained={trained}", "--teacher=seed", f"--out={out}",
    ]  # fmt: skip
    assert run(command) == 0
    said = capsys.readouterr().err
    assert said.index("training teacher") < said.index("training derived")
    seed = codec.load(out / "seed.json")
    taught = weights.load(out / "checkpoints" / "teacher.safetensors", seed)
    start = weights.load(out / "checkpoints" / "teacher.start.safetensors", seed)
    assert float((taught["stem.conv.conv.weight"] - start["stem.conv.conv.weight"]).abs().max()) > 0
    assert "teacher" in json.loads((out / "seconds.json").read_text())
    train = ["train", "mobilenet_v3_small", "--data=digits", "--teacher=seed"]
    assert run([*train, f"--out={tmp_path}/b"]) == 2
    assert "--teacher seed is the network that derive searches for" in capsys.readouterr().err


def test_a_teacher_of_other_classes_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(THEIRS["mobilenet_v3_small"](num_classes=7).state_dict(), tmp_path / "w.pth")
    command = ["train", "mobilenet_v3_small", "--data=digits", "--resolution=16"]
    assert run([*command, f"--teacher={tmp_path / 'w.pth'}", f"--out={tmp_path}/a"]) == 2
    assert "w.pth has 7 classes, digits has 10" in capsys.readouterr().err
    command = ["derive", "--target=0.9x:mobilenet_v3_small", *command[2:], "--runtime=macs"]
    assert run([*command, f"--teacher={tmp_path / 'w.pth'}", f"--out={tmp_path}/b"]) == 2
    assert "w.pth has 7 classes, digits has 10" in capsys.readouterr().err
    assert not (tmp_path / "b" / "latency.json").exists()  # not after the search, which takes hours
