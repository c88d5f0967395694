"""First-order Taylor importance against the loss with a channel's gate closed, a bit or wholly."""

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn.functional import cross_entropy

from bneck.netadapt import importance
from bneck.proxies.data import loading
from bneck.proxies.data.batches import Batches
from bneck.proxies.data.image_source import ImageSource
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.space import presets
from bneck.space.backends import inheritance, torch_model, weights
from bneck.space.channels import channel_groups
from bneck.space.edits import narrow
from tests.small_networks import three_stages

ARCH = three_stages(width=0.35)
GATE = "s3.b1.expand"


@pytest.fixture(scope="module")
def images() -> ImageSource:
    return loading.load("digits", resolution_px=16, seed=0).subset(seed=0, train=256, val=64)


@pytest.fixture(scope="module")
def trained(images: ImageSource) -> weights.State:
    network = torch_model.build(ARCH, seed=0)
    train(network, images, Recipe(40, batch_size=64), seed=0)
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def squared_changes(state: weights.State, images: ImageSource, closed: float) -> Tensor:
    """(channels,) squared change of the loss with each gate closed by a share, over the batches."""
    network = torch_model.Network(ARCH).double()
    network.load_state_dict(state)
    norm = network.get_submodule(f"{GATE}.norm")
    batches = Batches(images, importance.BATCH_SIZE, 0)
    sums = torch.zeros(len(norm.weight), dtype=torch.float64)
    with torch.no_grad():
        for step in range(importance.BATCHES):
            pixels, labels = batches[step]
            whole = cross_entropy(network(pixels.double()), labels)
            for channel in range(len(sums)):
                before = norm.weight[channel].item(), norm.bias[channel].item()
                norm.weight[channel] *= 1 - closed
                norm.bias[channel] *= 1 - closed
                sums[channel] += (cross_entropy(network(pixels.double()), labels) - whole).square()
                norm.weight[channel], norm.bias[channel] = before
    return sums


def test_it_is_the_slope_of_the_loss_as_a_gate_closes(
    trained: weights.State, images: ImageSource
) -> None:
    """A millionth of the way, where the first order is all there is."""
    found = importance.taylor(ARCH, trained, images, seed=0)[GATE]
    slopes = squared_changes(trained, images, 1e-6) / 1e-12
    torch.testing.assert_close(found, slopes, rtol=0.01, atol=1e-4 * float(slopes.max()))


def test_it_ranks_channels_as_closing_their_gates_does(
    trained: weights.State, images: ImageSource
) -> None:
    """The first order ranks them far better than the filters' norms: .76 against -.14 here."""
    found = importance.taylor(ARCH, trained, images, seed=0)[GATE]
    removed = squared_changes(trained, images, 1.0)
    by_norm = inheritance.squared_norms(ARCH, trained)[GATE]
    assert spearmanr(found, removed).statistic > 0.5
    assert spearmanr(by_norm, removed).statistic < 0.3


def test_dead_channels_matter_least_and_are_the_first_to_go(images: ImageSource) -> None:
    arch = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=10)
    state = torch_model.build(arch, seed=0).state_dict()
    dead = [3, 7]
    for part in ("weight", "bias"):
        state[f"s5.b2.expand.norm.{part}"][dead] = 0.0
    state["s5.b2.expand.conv.weight"][dead] *= 100  # L2 would keep them
    found = importance.taylor(arch, state, images, seed=0)
    groups = {end.writes for end in channel_groups(arch.layers()).values()}
    assert groups - set(found) <= {"image"}
    scores = found["s5.b2.expand"]
    assert scores[dead].abs().max() == 0
    narrower = narrow(arch, "s5.b2.expand", len(scores) - 8)
    for given, survive in ((None, True), (found, False)):
        kept = inheritance.inherit(arch, state, narrower, seed=0, importance=given)
        rows = kept["s5.b2.expand.norm.weight"]
        assert bool((rows == 0).any()) == survive
