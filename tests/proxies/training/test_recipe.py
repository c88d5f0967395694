"""Learning rates, weight decay, and what a recipe refuses."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from bneck.errors import UsageError
from bneck.proxies.training.recipe import Recipe
from tests.proxies.training.small_net import QUICK, small_net


def test_one_cycle_is_torchs() -> None:
    recipe = Recipe(steps=100, learning_rate=0.5, warmup=0.3)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, 100, cycle_momentum=False)
    for step in range(100):
        assert recipe.learning_rate_at(step) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < 99:
            reference.step()


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0.0, 0.3, 1.0])
def test_the_shortest_schedules_stay_between_zero_and_the_peak(steps: int, warmup: float) -> None:
    recipe = Recipe(steps=steps, warmup=warmup, learning_rate=1.0)
    rates = [recipe.learning_rate_at(step) for step in range(steps)]
    assert all(0 <= rate <= 1 for rate in rates)
    assert max(rates) > 0


def test_norms_and_biases_are_free_of_weight_decay() -> None:
    network = small_net()
    decayed, free = QUICK.optimizer_for(network).param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(16, 3, 3, 3), (32, 16, 3, 3), (10, 512)]
    assert len(free["params"]) == 5
    assert (decayed["weight_decay"], free["weight_decay"]) == (QUICK.weight_decay, 0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("steps", 0, "steps must be a whole number from 1"),
        ("batch_size", 1, "batch size must be a whole number from 2"),
        ("learning_rate", math.nan, "learning rate must be a number"),
        ("learning_rate", -1.0, "learning rate must be a number"),
        ("ema", 1.5, "ema must be a number from 0 to 1, got 1.5"),
    ],
)
def test_bad_recipes_are_refused(field: str, value: object, message: str) -> None:
    fields: dict[str, Any] = {"steps": 1, field: value}
    with pytest.raises(UsageError, match=message):
        Recipe(**fields)
