"""Trainings from begin to end: what they learn, how they fail, and what they leave untouched."""

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bneck.errors import ProxyFailed, UsageError
from bneck.machine import Compute
from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.step import Backpropagate, learn_labels
from bneck.proxies.training.trainer import train
from bneck.proxies.training.validation import evaluate
from tests.proxies.training.small_net import QUICK, small_net


def counting(shown: list[int]) -> Backpropagate:
    """Learn the labels, and note how many images each step is shown."""

    def backpropagate(network: nn.Module, pixels: Tensor, labels: Tensor, step: int) -> Tensor:
        shown.append(len(pixels))
        return learn_labels(network, pixels, labels, step, label_smoothing=0.0)

    return backpropagate


def test_a_small_network_learns_digits(digits: ImageSource) -> None:
    network = small_net()
    recipe = Recipe(steps=150, batch_size=64, learning_rate=0.01)
    shown: list[int] = []
    result = train(network, digits, recipe, seed=0, backpropagate=counting(shown))
    assert result.accuracy.value > 0.9
    assert shown == [64] * 150
    found = evaluate(network, digits)
    assert (result.accuracy, result.loss) == (found.accuracy, found.loss)
    assert torch.equal(result.losses, found.losses)
    assert result.right == found.right


def test_a_training_is_the_plain_loop_of_its_recipe(digits: ImageSource) -> None:
    """torch's AdamW and schedule, on the recipe's own batches: mixed, balanced and smoothed."""
    recipe = Recipe(
        steps=6, batch_size=32, learning_rate=0.02, warmup=0.5, weight_decay=0.3, ema=None,
        label_smoothing=0.3, augmentation="random-resized-crop+mixup", balanced=True,
    )  # fmt: skip
    ours, theirs = small_net(), small_net().to(memory_format=torch.channels_last)
    for network in (ours, theirs):
        network[7].p = 0.0  # what dropout draws is not the loop's matter
    train(ours, digits, recipe, seed=7)
    matrices = [p for p in theirs.parameters() if p.ndim > 1]
    vectors = [p for p in theirs.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.3}, {"params": vectors, "weight_decay": 0.0}]
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.02, 6, pct_start=0.5, cycle_momentum=False
    )
    batches = Batches(digits, 32, 7, recipe.augmentation, balanced=True)
    for step in range(6):
        pixels, shares = batches[step]
        optimizer.zero_grad()
        cross_entropy(theirs(pixels), shares, label_smoothing=0.3).backward()
        optimizer.step()
        if step < 5:
            schedule.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_what_dropout_draws_depends_on_step_and_seed(digits: ImageSource) -> None:
    def drawn(seed: int) -> list[float]:
        numbers = []

        def backpropagate(network: nn.Module, pixels: Tensor, labels: Tensor, step: int) -> Tensor:
            numbers.append(torch.rand(()).item())
            return learn_labels(network, pixels, labels, step, label_smoothing=0.0)

        recipe = replace(QUICK, steps=3)
        train(small_net(), digits, recipe, seed=seed, backpropagate=backpropagate)
        return numbers

    assert drawn(0) == drawn(0)
    assert len({*drawn(0), *drawn(1)}) == 6


def test_divergence_names_step_and_learning_rate(digits: ImageSource) -> None:
    recipe = Recipe(steps=50, batch_size=32, learning_rate=100, weight_decay=10, ema=None)
    said = r"loss is \w+ at step (\d+) of 50 with learning rate (\S+);"
    with pytest.raises(ProxyFailed, match=said) as failed:
        train(
            nn.Sequential(nn.Conv2d(3, 16, 16), nn.Conv2d(16, 10, 1), nn.Flatten()),
            digits,
            recipe,
            seed=0,
        )
    step, rate = re.search(said, str(failed.value)).groups()
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 100, 50, cycle_momentum=False)
    for _ in range(int(step) - 1):  # the first step has the rate that torch begins with
        optimizer.step()
        schedule.step()
    assert float(rate) == pytest.approx(schedule.get_last_lr()[0], rel=0.05)  # in two digits


def test_a_network_for_other_classes_is_refused(digits: ImageSource) -> None:
    with pytest.raises(UsageError, match="has 7 outputs and digits has 10 classes"):
        train(small_net(classes=7), digits, QUICK, seed=0)


def test_training_leaves_no_traces_outside(digits: ImageSource) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    train(small_net(), digits, replace(QUICK, steps=2), seed=0, compute=Compute(threads=2))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_batches_larger_than_the_set_shrink(digits: ImageSource) -> None:
    few = digits.subset(train=20, val=20, seed=0)
    shown: list[int] = []
    train(small_net(), few, Recipe(steps=2, batch_size=512), seed=0, backpropagate=counting(shown))
    assert shown == [20, 20]
