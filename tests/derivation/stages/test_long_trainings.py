"""Long trainings through an executor, on real digits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bneck.derivation.stages.long_trainings import LongTraining, TrainingJob, train_all
from bneck.errors import BneckError, ProxyFailed, UsageError
from bneck.executors.processes import processes
from bneck.executors.serial import Serial
from bneck.machine import GPU_SHARE, Compute, gpu_share
from bneck.proxies.data.worker_images import WorkerImages, whole
from bneck.proxies.training import trainer
from bneck.proxies.training.checkpoint import steps_done
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.validation import evaluate
from bneck.space import presets
from bneck.space.backends import torch_model, weights
from tests.small_networks import three_stages
from tests.unseen import unseen

pytestmark = pytest.mark.usefixtures("forks_have_torch")

ARCH = three_stages()
TWO = [TrainingJob("first", ARCH, 0), TrainingJob("second", ARCH, 1)]


def training(folder: Path, **changes: object) -> LongTraining:
    images = WorkerImages("digits", 16, 16, seed=0)
    return LongTraining(images, replace(Recipe(4, 32), **changes), folder)


def test_the_same_trainings_wherever_they_run(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    one_by_one = train_all(TWO, training(here), Serial())
    side_by_side = processes(2, imported=[trainer.__name__])
    try:
        together = train_all(TWO, training(there), side_by_side)
    finally:
        side_by_side.close()
    assert [one.name for one in together] == ["first", "second"]
    for one, other in zip(one_by_one, together, strict=True):
        assert one.accuracy == other.accuracy
        tensors = f"{one.name}.safetensors"
        assert (here / tensors).read_bytes() == (there / tensors).read_bytes()
    plain, kept = torch_model.build(ARCH, seed=1), weights.load(here / "second.safetensors", ARCH)
    task = training(here)
    result = trainer.train(plain, whole(task.images), task.recipe, seed=1, compute=task.compute)
    assert all(torch.equal(kept[name], one) for name, one in plain.state_dict().items())
    assert (one_by_one[1].accuracy, one_by_one[1].right) == (result.accuracy, result.right)


def test_a_node_that_does_not_see_the_run_says_so_before_it_trains(tmp_path: Path) -> None:
    """It trained to the end and wrote where the driver never looks."""
    task = training(tmp_path / "run" / "checkpoints")
    with pytest.raises(UsageError, match=r"checkpoints is not here: --out must be on a file sys"):
        task(TWO[0])
    assert not list(tmp_path.iterdir())
    task.folder.mkdir(parents=True)
    with unseen(tmp_path), pytest.raises(UsageError, match="checkpoints is not here"):
        task(TWO[0])


def test_what_is_trained_is_read_and_the_rest_resumes(tmp_path: Path) -> None:
    news: list[tuple[Any, ...]] = []
    first = train_all(TWO[:1], training(tmp_path), Serial())
    both = train_all(TWO, training(tmp_path), Serial(), lambda *said: news.append(said))
    assert both[0] == first[0]
    assert [said[0] for said in news] == ["trainings", "training second", "trainings"]
    assert [said[1:3] for said in (news[0], news[-1])] == [(1, 2), (2, 2)]  # the pace begins at 1
    assert not list(tmp_path.glob("*.checkpoint"))
    assert steps_done(tmp_path / "second.checkpoint") is None


def test_a_checkpoint_that_a_kill_left_of_a_training_that_ended_is_removed(tmp_path: Path) -> None:
    task, left = training(tmp_path), tmp_path / "first.checkpoint"
    train_all(TWO[:1], task, Serial())
    for again in (lambda: train_all(TWO[:1], task, Serial()), lambda: task(TWO[0])):
        left.touch()
        again()
        assert not left.exists()


def test_a_training_whose_weights_are_not_kept_yet_has_not_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed as it writes them: read as ended, it would have none."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    task = training(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(weights, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            task(TWO[0])
    assert not task.files(TWO[0]).result.exists()
    task(TWO[0])
    assert weights.load(task.files(TWO[0]).weights, ARCH)


def test_branches_are_folded_before_the_weights_are_kept(tmp_path: Path) -> None:
    task = replace(training(tmp_path / "branched"), branches=True)
    (branched,) = train_all(TWO[:1], task, Serial())
    (plain,) = train_all(TWO[:1], training(tmp_path / "plain"), Serial())
    network = torch_model.Network(ARCH)
    network.load_state_dict(weights.load(tmp_path / "branched" / "first.safetensors", ARCH))
    again = evaluate(network, whole(task.images))
    assert again.accuracy.value == pytest.approx(branched.accuracy.value, abs=0.005)
    same = (tmp_path / "plain" / "first.safetensors").read_bytes()
    assert (tmp_path / "branched" / "first.safetensors").read_bytes() != same
    assert plain.name == branched.name


def test_a_training_that_fails_is_named(tmp_path: Path) -> None:
    deep = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=10)
    diverging = training(tmp_path, learning_rate=100.0, weight_decay=10.0, warmup=0.0)
    with pytest.raises(BneckError, match=r"training of first failed: ProxyFailed: .* diverged"):
        train_all([TrainingJob("first", deep, 0)], diverging, Serial())


class FourAtOnce(Serial):
    """Has room for four, as a machine of one GPU has where nothing else is said."""

    workers = 4


def test_long_trainings_share_gpus_among_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers are started with an evaluation's share, a quarter."""
    shares: list[float] = []

    def note(*_: object, **__: object) -> None:
        shares.append(gpu_share())
        raise ProxyFailed("noted")

    monkeypatch.setattr("bneck.derivation.stages.long_trainings.train_and_keep", note)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv(GPU_SHARE, "0.25")
    task = replace(training(tmp_path), compute=Compute("cuda", threads=1))
    for jobs in (TWO[:1], TWO, [*TWO, TrainingJob("third", ARCH, 2)]):
        with pytest.raises(BneckError, match="noted"):
            train_all(jobs, task, FourAtOnce())
    assert shares == [1.0, *2 * [1.0], *3 * [0.5]]
    assert gpu_share() == 0.25
