"""``pretrain --elastic``: a run whose weights serve every network of its space."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bneck import records
from bneck.cli import run
from bneck.derivation.stages import elastic as elastic_module
from bneck.proxies.proxy import ELASTIC
from bneck.proxies.shared_weights import ABOUT, AboutShared, load
from bneck.results.record import Inherited
from bneck.results.run import Run
from tests.command_line import json_of
from tests.proxies.data.pictures import draw

DIGITS = ("--data=digits", "--resolution=16")
SMALL = "--space=tests.small_networks:small_space"
PRETRAIN = ("pretrain", "--elastic", *DIGITS, SMALL, "--epochs=0.15")


@pytest.fixture
def search(digits_latency: Path) -> list[str]:
    return [
        "search", *DIGITS, SMALL, "--target=0.1x:mobilenet_v3_small", "--evaluations=2",
        "--workers=1", "--runtime=macs", f"--latency={digits_latency}", "--sampler=random",
        "--json",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def elastic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps, of the classes of the digits."""
    out = tmp_path_factory.mktemp("elastic") / "run"
    assert run([*PRETRAIN, f"--out={out}"]) == 0
    return out


def test_it_is_a_run_of_the_largest_network(
    elastic: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["runs", "--check", str(elastic.parent)]) == 0
    accuracy = json_of(capsys, "evaluate", elastic)["accuracy"]
    again = json_of(capsys, *PRETRAIN, f"--out={elastic}")
    assert again["accuracy"] == pytest.approx(accuracy, abs=0.01)
    assert load(elastic)[0].steps == 3  # 0.15 epochs of four fifths of 1,437 images by 64


def test_stopped_while_the_test_images_are_classified_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = ("train", "val", "test")
    draw(tmp_path / "set", *(f"{part}/{name}" for part in parts for name in "ab"), count=20)
    command = [
        "pretrain", "--elastic", SMALL, f"--data=folder:{tmp_path}/set", "--resolution=16",
        "--epochs=1", f"--out={tmp_path}/run", "--json",
    ]  # fmt: skip

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(elastic_module, "on_test", stopped)
        assert run(command) == 130
    capsys.readouterr()
    assert run(command) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["test_accuracy"] in {right / 40 for right in range(41)}
    assert result["seconds"] > 0
    assert [file.name for file in tmp_path.glob("run/checkpoints/*.checkpoint")] == []


def test_a_search_reads_accuracies_off_it(
    elastic: Path, search: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    word = f"--proxy=shared-weights:{elastic}"
    assert run([*search, word, f"--out={tmp_path}/a"]) == 0
    capsys.readouterr()
    assert run([*search, word, "--seed=1", f"--out={tmp_path}/b"]) == 2
    assert "was trained on images that --seed 1 judges networks by; use its --seed 0" in (
        capsys.readouterr().err
    )


def test_weights_of_other_classes_are_refused_before_the_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = AboutShared(7, (0.5,) * 3, (0.2,) * 3, 2, 1.0, 1)
    with Run.open(tmp_path / "seven", {"seed": 0}):
        pass
    tensors, said = {"a": torch.zeros(1)}, {ABOUT: json.dumps(records.to_json(about))}
    save_file(tensors, tmp_path / "seven" / ELASTIC, said)
    words = [*DIGITS, "--target=0.9x:mobilenet_v3_small", "--runtime=macs", "--workers=1"]
    proxy, out = f"--proxy=shared-weights:{tmp_path}/seven", tmp_path / "out"
    assert run(["search", *words, proxy, f"--out={out}"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"bneck: {tmp_path}/seven was trained for 7 classes, digits has 10"
    assert not (out / "latency.json").exists()
    assert not (out / "timings").exists()

    for name in "ab":  # images that cannot be decoded, as whoever tried would say
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "0.png").write_text("not an image")
    photos = ["--data", f"folder:{tmp_path}/photos", "--resolution=32"]
    assert run(["search", *words[2:], *photos, proxy, f"--out={tmp_path}/other"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.endswith(f"seven was trained for 7 classes, folder:{tmp_path}/photos has 2")


def test_weights_of_another_space_are_refused_before_the_calibration(
    elastic: Path, search: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibrates = [word for word in search if not word.startswith("--latency")]
    other = ["--space=cpu-small", "--target=0.9x:mobilenet_v3_small"]
    words = [*other, f"--proxy=shared-weights:{elastic}", f"--out={tmp_path}/out"]
    assert run([*calibrates, *words]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"bneck: {elastic} was trained for another space: the shared weights ")
    assert not (tmp_path / "out" / "latency.json").exists()
    assert not (tmp_path / "out" / "timings").exists()


def test_a_search_is_refused_weights_that_were_trained_again(
    elastic: Path, search: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = shutil.copytree(elastic, tmp_path / "elastic")
    command = [*search, f"--proxy=shared-weights:{moved}", f"--out={tmp_path}/a"]
    assert run(command) == 0
    assert run([*PRETRAIN[:-1], "--epochs=0.2", f"--out={moved}"]) == 0
    capsys.readouterr()
    assert run([*command, "--evaluations=3"]) == 2
    assert "weights of SHA-256" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_networks_of_a_search_begin_with_their_part(
    elastic: Path, search: list[str], tmp_path: Path
) -> None:
    words = (f"--pretrained={elastic}", "--search-steps=1", f"--out={tmp_path}/a")
    assert run([*search, *words]) == 0
    inherited = records.read(tmp_path / "a" / "inherited.json", Inherited)
    assert (inherited.share, inherited.fresh) == (1.0, ())
