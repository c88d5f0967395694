"""Shared weights: how they are trained, resumed, scored and told apart."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

from bneck.errors import ProxyFailed, UsageError
from bneck.machine import ONE_THREAD
from bneck.proxies import shared_weights
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.proxies.proxy import ELASTIC, content_of, find_proxy, shared_weights_run
from bneck.proxies.shared_weights import load as load_shared
from bneck.proxies.shared_weights import recalibrate, train_elastic
from bneck.proxies.training import trainer
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.validation import evaluate
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.backends.supernet import Supernet, extract
from bneck.space.backends.torch_model import build
from bneck.space.choices import Space

RECIPE = Recipe(steps=2, batch_size=8)


@pytest.fixture(scope="module")
def digits() -> ImageSource:
    """64 digits to train on and 64 to score by, at 16 px."""
    whole = load("digits", resolution_px=16).for_search(0)
    return whole.subset(seed=0, train=64, val=64)


@pytest.fixture(scope="module")
def space() -> Space:
    """The space whose weights are shared."""
    return spaces.build("nas-bench-macro", resolution_px=16, classes=10)


@pytest.mark.parametrize("batch", [16, 128])
def test_recalibrated_norms_hold_the_mean_over_the_images(
    space: Space, digits: ImageSource, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(shared_weights, "_BATCH", batch)
    network = build(space.decode(space.sample(1)))
    recalibrate(network, digits)
    stem = network.get_submodule("stem.conv")
    mean = stem.conv(digits.normalise(digits.train.pixels())).mean((0, 2, 3))
    torch.testing.assert_close(stem.norm.running_mean, mean, rtol=1e-4, atol=1e-5)


def test_no_image_is_left_alone_when_norms_are_recalibrated(digits: ImageSource) -> None:
    """The last channels of MobileNetV4 are normalised after the pool: one value of each image."""
    network = build(presets.build("mobilenet_v4_conv_small").at(resolution_px=16, classes=10))
    one_more = digits.train.take(torch.arange(129) % len(digits.train))
    recalibrate(network, replace(digits, train=one_more))
    assert int(network.get_submodule("stem.conv").norm.num_batches_tracked) == 2


def test_each_step_trains_the_largest_the_smallest_and_two_others(
    space: Space, digits: ImageSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Architecture] = []
    usual = Supernet.run

    def run(network: Supernet, arch: Architecture, x: torch.Tensor) -> torch.Tensor:
        if network.training:
            trained.append(arch)
        return usual(network, arch, x)

    monkeypatch.setattr(Supernet, "run", run)
    train_elastic(space, digits, RECIPE, tmp_path / "w", checkpoint=tmp_path / "c")
    network, one, other = Supernet(space, seed=0), trained[:4], trained[4:]
    for step in (one, other):
        assert step[:2] == [network.largest, network.smallest]
        assert len(step) == 4
    assert not set(one[2:]) & set(other[2:])  # of 6,561 networks


def test_the_others_learn_what_the_largest_network_gives(
    space: Space, digits: ImageSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Yu et al. 2020, section 3.1: the largest alone learns the labels; all gradients add up."""
    ours, theirs, archs = Supernet(space, seed=0), Supernet(space, seed=0), []
    usual = Supernet.run

    def run(network: Supernet, arch: Architecture, x: torch.Tensor) -> torch.Tensor:
        archs.append(arch)
        return usual(network, arch, x)

    batch = digits.train.first(8, 0)
    pixels, labels = digits.normalise(batch.pixels()), batch.labels
    monkeypatch.setattr(Supernet, "run", run)
    loss = shared_weights._sandwich(space, 0, 0.2, ours, pixels, labels, 3)
    monkeypatch.undo()
    logits = [theirs.run(arch, pixels) for arch in archs]
    taught = cross_entropy(logits[0], labels, label_smoothing=0.2)
    shares = logits[0].detach().softmax(1)
    total = taught - sum((shares * one.log_softmax(1)).sum(1).mean() for one in logits[1:])
    total.backward()
    torch.testing.assert_close(loss, taught.detach())
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-5)


def test_training_resumes_and_any_network_is_scored(
    space: Space, digits: ImageSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    run, stopped = tmp_path / "run", tmp_path / "stopped"

    def trained(folder: Path, **more: object) -> None:
        folder.mkdir(exist_ok=True)
        file, checkpoint = folder / ELASTIC, folder / "checkpoint"
        train_elastic(space, digits, RECIPE, file, checkpoint=checkpoint, **more)

    def stop(what: str, step: int, *_: object) -> None:
        if step == 2:
            raise InterruptedError

    trained(run)
    with pytest.raises(InterruptedError):
        trained(stopped, progress=stop)
    trained(stopped)
    (said, one), (_, other) = load_shared(run), load_shared(stopped)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (said.classes, said.steps) == (10, 2)
    assert said.seconds > 0

    proxy = find_proxy(f"shared-weights:{run}")(digits, RECIPE, compute=ONE_THREAD)
    arch = space.decode(space.sample(0))
    score = proxy(arch, seed=0)
    assert 0 <= score <= 1
    assert score == proxy(arch, seed=0)
    monkeypatch.setattr(shared_weights, "RECALIBRATED_ON", 48)
    monkeypatch.setattr(shared_weights, "SCORED_ON", 20)
    other = digits.normalised_with((0.5,) * 3, (0.1,) * 3)  # weights bring their own normalisation
    few = digits.subset(seed=5, train=48, val=20)
    network = extract(load_shared(run)[1], arch)
    recalibrate(network, few)
    expected = evaluate(network, few, compute=ONE_THREAD).accuracy.value
    of_few = find_proxy(f"shared-weights:{run}")(other, RECIPE, compute=ONE_THREAD)
    assert of_few(arch, seed=5) == expected
    digest = hashlib.sha256((run / ELASTIC).read_bytes()).hexdigest()
    assert proxy.made_with == {"weights": digest[:12]}
    with pytest.raises(ProxyFailed, match="the shared weights hold no s"):
        proxy(presets.build("mobilenet_v3_large"), seed=0)


def test_the_weights_say_how_many_threads_trained_them(
    space: Space, digits: ImageSource, tmp_path: Path
) -> None:
    """Where the number is left open, one thread may have been found to be the fastest."""
    file, checkpoint = tmp_path / ELASTIC, tmp_path / "checkpoint"
    train_elastic(space, digits, RECIPE, file, checkpoint=checkpoint, compute=ONE_THREAD)
    torch.set_num_threads(2)
    train_elastic(space, digits, RECIPE, file, checkpoint=checkpoint)
    assert load_shared(tmp_path)[0].threads == 1


def test_folders_without_shared_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing is not a run of `bneck pretrain --elastic`"):
        find_proxy(f"shared-weights:{tmp_path / 'missing'}")
    (tmp_path / ELASTIC).write_text("no weights")
    with pytest.raises(UsageError, match=f"{ELASTIC} is not a file of shared weights"):
        find_proxy(f"shared-weights:{tmp_path}")
    save_file({"a": torch.zeros(1)}, tmp_path / ELASTIC, {"shared_weights": '{"classes": "ten"}'})
    with pytest.raises(UsageError, match=r"is not a file of shared weights: .*the key .mean"):
        find_proxy(f"shared-weights:{tmp_path}")


def test_shared_weights_in_the_home_folder_are_found_behind_the_colon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert shared_weights_run("shared-weights:~/all") == tmp_path / "all"


def test_a_run_that_is_trained_again_has_other_content(
    space: Space, digits: ImageSource, tmp_path: Path
) -> None:
    file = tmp_path / ELASTIC
    found = []
    for seed in (0, 1):
        train_elastic(space, digits, RECIPE, file, checkpoint=tmp_path / "checkpoint", seed=seed)
        found.append(content_of(f"shared-weights:{tmp_path}"))
        (tmp_path / "checkpoint").unlink(missing_ok=True)
        assert found[-1] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert found[0] != found[1]
    assert content_of("zen") is None
