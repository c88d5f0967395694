"""What every accuracy signal promises, held against each entry of PROXIES."""

import math
from typing import Any

import pytest
import torch

from bneck.errors import ProxyFailed
from bneck.machine import ONE_THREAD, Compute
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.data.loading import load
from bneck.proxies.proxy import PROXIES, find_proxy
from bneck.proxies.training.recipe import Recipe
from bneck.space import spaces

SPACE = spaces.build("v3-small", resolution_px=16, classes=10)
ONE, OTHER = (SPACE.decode(SPACE.sample(seed)) for seed in (1, 2))
RECIPE = Recipe(steps=2, batch_size=8)


@pytest.fixture(scope="module")
def digits() -> ImageSource:
    return load("digits", resolution_px=16, seed=0).for_search(0).subset(seed=0, train=64, val=40)


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest, digits: ImageSource) -> Any:
    return find_proxy(request.param)(digits, RECIPE, compute=ONE_THREAD)


def test_scores_are_finite_seeded_and_free_of_order(proxy: Any) -> None:
    first, second = proxy(ONE, seed=3), proxy(OTHER, seed=3)
    assert isinstance(first, float)
    assert math.isfinite(first)
    assert math.isfinite(second)
    assert [proxy(OTHER, seed=3), proxy(ONE, seed=3)] == [second, first]


def test_scores_leave_no_state(proxy: Any, digits: ImageSource) -> None:
    torch.set_num_threads(2)  # other than the one that the proxy is asked for
    before = torch.get_rng_state(), digits.train.squares.clone(), torch.get_num_threads()
    proxy(ONE, seed=3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(digits.train.squares, before[1])
    assert torch.get_num_threads() == before[2] == 2
    assert torch.is_grad_enabled()


def test_a_hopeless_network_is_a_failure_and_not_nan(
    proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that are not numbers reach every proxy that reads weights at all."""
    from bneck.space.backends import torch_model

    def spoil(network: torch.nn.Module, seed: int) -> None:
        for parameter in network.parameters():
            parameter.data.fill_(math.nan)

    monkeypatch.setattr(torch_model, "initialise", spoil)
    if type(proxy).__name__ in ("Params", "Macs"):
        assert math.isfinite(proxy(ONE, seed=0))
        return
    with pytest.raises(ProxyFailed):
        proxy(ONE, seed=0)


@pytest.mark.parametrize("word", PROXIES)
def test_the_threads_asked_for_are_those_used(
    word: str, digits: ImageSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = find_proxy(word)(digits, RECIPE, compute=Compute(threads=3))
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    proxy(ONE, seed=0)
    assert asked[0] == 3
