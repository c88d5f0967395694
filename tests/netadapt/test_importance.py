"""First-order Taylor importance against the loss with a channel's gate closed."""

from bneck.netadapt import importance
from bneck.proxies.data import loading
from bneck.proxies.training.recipe import Recipe
from bneck.proxies.training.trainer import train
from bneck.space import presets
from bneck.space.backends import torch_model, weights
from bneck.space.channels import channel_groups
from bneck.space.edits import narrow

ARCH = presets.build("mobilenet_v3_small", width=0.35, resolution_px=16, classes=10)


def test_dead_channels_matter_least_and_are_the_first_to_go() -> None:
    images = loading.load("digits", resolution_px=16, seed=0).subset(seed=0, train=256, val=64)
    network = torch_model.build(ARCH, seed=0)
    train(network, images, Recipe(20, batch_size=64), seed=0)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    dead = [3, 7]
    for part in ("weight", "bias"):
        state[f"s5.b2.expand.norm.{part}"][dead] = 0.0
    state["s5.b2.expand.conv.weight"][dead] *= 100  # L2 would keep them
    found = importance.taylor(ARCH, state, images, seed=0)
    groups = {end.writes for end in channel_groups(ARCH.layers()).values()}
    assert groups - set(found) <= {"image"}
    scores = found["s5.b2.expand"]
    assert scores[dead].abs().max() == 0
    assert (scores > 0).sum() >= len(scores) - 2 - 10
    width = len(scores) - 8
    narrower = narrow(ARCH, "s5.b2.expand", width)
    for given, survive in ((None, True), (found, False)):
        kept = weights.inherit(ARCH, state, narrower, seed=0, importance=given)
        rows = kept["s5.b2.expand.norm.weight"]
        assert bool((rows == 0).any()) == survive
